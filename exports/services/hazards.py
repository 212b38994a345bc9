"""What a spreadsheet, or a format's limits, would do to the rows of an export: warnings in plain words, each with a code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exports.cells import Kind, guard
from exports.datasets import Spec
from exports.formats.issues import FEWEST_TO_FAIL, SHARE_TO_FAIL, Issue
from exports.formats.json import PART_ROWS
from exports.formats.xlsx import CELL_CHARS, SHEET_ROWS

LONG_DIGITS = 12  # from here on a spreadsheet shows a number as 1.23E+11; past 15 digits it rounds it
_LEADING_ZERO = re.compile(r"0[0-9]+")
_LONG_DIGITS = re.compile(rf"[0-9]{{{LONG_DIGITS},}}")


@dataclass(frozen=True)
class Hazard:
    """A warning: a stable code, a sentence, and the title of the column that it is about (None: the whole file)."""

    code: str
    detail: str
    column: str | None = None


def of_size(spec: Spec, rows: int, *, exact: bool) -> Iterator[Hazard]:
    """What follows from how many rows there are."""
    about = f"{rows:,}" if exact else f"About {rows:,}"
    if exact and not rows:
        yield Hazard("empty", "No task fits: the file would have no rows.")
    if spec.format == "xlsx" and rows > SHEET_ROWS:
        yield Hazard("several_sheets", f"{about} rows need {-(-rows // SHEET_ROWS)} sheets: one holds {SHEET_ROWS:,} below its header.")
    if spec.format == "json" and rows > PART_ROWS:
        yield Hazard("several_parts", f"{about} rows are {-(-rows // PART_ROWS):,} JSON files of {PART_ROWS:,} rows in one zip.")


def of_texts(spec: Spec, titles: list[str], kinds: list[Kind], rows: Iterable[list[str | None]], sample: str) -> Iterator[Hazard]:
    """What a spreadsheet does to a CSV's texts, by the raw cells of a sample; other formats keep texts as they are."""
    if spec.format != "csv":
        return
    found: dict[str, Counter[int]] = {"leading_zeros": Counter(), "long_digits": Counter(), "formulas": Counter()}
    texts = [(number, kind) for number, kind in enumerate(kinds) if kind in {Kind.TEXT, Kind.PHONE}]
    for row in rows:
        for number, kind in texts:
            text = row[number]
            if text:
                found["leading_zeros"][number] += _LEADING_ZERO.fullmatch(text) is not None
                found["long_digits"][number] += _LONG_DIGITS.fullmatch(text) is not None
                found["formulas"][number] += kind is Kind.TEXT and text[0] != "'" and guard(text) != text
    formulas = (
        "start with =, +, -, @, a tab or a line end: each gets a leading ', so that no spreadsheet runs it."
        if spec.options["guard"] == "formulas"
        else "start with =, +, -, @, a tab or a line end, and a spreadsheet may run them: leave the guard on."
    )
    words = {
        "leading_zeros": "have leading zeros, which Excel drops when it opens a CSV: take XLSX.",
        "long_digits": f"have {LONG_DIGITS} digits or more, which Excel shows as 1.2E+11 and rounds past 15 when it opens a CSV: take XLSX.",
        "formulas": formulas,
    }
    for code, columns in found.items():
        for number, cells in sorted(columns.items()):
            if cells:
                yield Hazard(code, f"Column {titles[number]}: {cells} of {sample} {words[code]}", titles[number])


def of_issues(titles: dict[str, str], issues: list[Issue], rows: int, sampled: int, sample: str) -> Iterator[Hazard]:
    """What the format could not hold of the sample, by the columns' titles by key, and whether so much of it would end the job."""
    for (key, reason), cells in sorted(Counter((issue.column, issue.reason) for issue in issues).items()):
        what = f"are longer than {CELL_CHARS:,} characters" if reason == "cell_too_long" else f"do not fit ({reason})"
        yield Hazard(reason, f"Column {titles[key]}: {cells} of {sample} {what}: they will be cut, and listed in full as issues.", titles[key])
    most = max(FEWEST_TO_FAIL, int(rows * SHARE_TO_FAIL))
    hit = len({issue.row_id for issue in issues})
    if hit and hit * max(rows, sampled) // sampled > most:
        yield Hazard("many_issues", f"By the sample more than {most:,} rows will have issues; the job would fail. Leave the column out, or take CSV.")
