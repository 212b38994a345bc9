"""Row quarantine: values that a format can't hold are replaced in the file and listed here; too many of them end the job."""

from __future__ import annotations

from dataclasses import dataclass, field

from taskexport.errors import AppError

FEWEST_TO_FAIL = 100
SHARE_TO_FAIL = 0.001


@dataclass(frozen=True)
class Issue:
    """A value that was replaced: its row's id, its column's key, why, and its full text."""

    row_id: int
    column: str
    reason: str
    text: str


@dataclass
class Issues:
    """The issues of one attempt over so many rows; with `fails` off too many of them are only listed."""

    rows: int
    found: list[Issue] = field(default_factory=list)
    fails: bool = True
    _row_ids: set[int] = field(default_factory=set)

    def add(self, row_id: int, column: str, reason: str, text: str) -> None:
        """Lists an issue. Raises AppError `too_many_issues` above max(100 rows, 0.1 %)."""
        self.found.append(Issue(row_id, column, reason, text))
        self._row_ids.add(row_id)
        most = max(FEWEST_TO_FAIL, int(self.rows * SHARE_TO_FAIL))
        if self.fails and len(self._row_ids) > most:
            raise AppError(
                f"More than {most} rows hold values that this format can't: the last in column {column} of row {row_id} ({reason})."
                " Leave the column out, or take CSV or JSON.",
                code="too_many_issues",
            )
