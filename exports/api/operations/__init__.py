"""Contract 3, operations: `/api/v2/task/…`."""
