"""Rows of a CSV or XLSX file become tasks, by a column mapping; the same `external_id` in the organization is updated.

A mapping is a JSON object:

    {
      "timezone": "America/New_York",
      "delimiter": ",",
      "columns": {
        "SRRecordID": "external_id",
        "SRType": ["title", "flow"],
        "CreatedDate": {"to": "created_at", "format": "%m/%d/%Y %I:%M:%S %p"},
        "SRStatus": [{"to": "status", "values": {"Closed": "complete"}, "default": "none"}, "attributes"]
      },
      "constants": {"country": "US"},
      "unmapped": "attributes"
    }

- `columns`: a header of the file, and where its text goes: a target, or a list of them. A target is its name, or an object with
  `to` and, if wanted, `format` (of `strptime`, times and days only; ISO 8601 without it), `values` (text → text) and `default` (taken when
  the text is not in `values`; without `values` when the cell is empty).
- Targets are the task's own fields, and by name `flow`, `hub`, `case`, `subject` (needs `case`), `calendar`, `case_service` and `assignee`
  (several with `;` between, the first leads; with an @ found by e-mail). What is missing is made. `attributes` keeps the text under its header.
- `constants`: a target and the text that every row gets.
- `unmapped`: `attributes` (when left out) keeps the text of every other column under its header, `ignore` drops it. An empty cell makes no key.
- `timezone`: the zone of times without one; the organization's when left out. A time that a clock change skips becomes the first instant
  after the gap, one that comes twice its first occurrence. `due_on` is the local day of `due_at` unless mapped itself.
- `delimiter`: of a CSV, a comma when left out.

On an update a field that the mapping does not mention stays as it was, an empty cell empties its field, and `attributes` are replaced as a whole.
"""

from tasks.importing.mapping import Mapping, parse_mapping, read_mapping
from tasks.importing.run import ImportResult, RowError, find_organization, import_tasks

__all__ = ["ImportResult", "Mapping", "RowError", "find_organization", "import_tasks", "parse_mapping", "read_mapping"]
