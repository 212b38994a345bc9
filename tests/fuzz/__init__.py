"""`python -m tests.fuzz`: made-up calls by schemathesis against a running service; every answer is held against docs/openapi.yaml."""
