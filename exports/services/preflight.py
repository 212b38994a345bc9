"""What an export would give, before a job is made: rows, size, time, first rows, and what a spreadsheet would do to them.

All of it is read in one snapshot through the sources and formats of a real run, cut to the first rows of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from django.db.models import QuerySet

from exports import sources
from exports.cells import Form, Style
from exports.datasets import Spec
from exports.formats import FORMATS
from exports.formats.base import Target
from exports.formats.issues import Issues
from exports.formats.reading import Row, first_rows
from exports.models import ExportJob
from exports.services import hazards, jobs
from exports.services.hazards import Hazard
from exports.sources import Query, Snapshot, TooSlow
from exports.states import JobStatus
from tasks.models import Organization, User

EXACT_ROWS = 100_000  # counted to here; beyond it PostgreSQL's planner is asked
SAMPLE_ROWS = 500
SAMPLE_BYTES = 8 * 1024 * 1024  # of raw cells; rows may be very long
PREVIEW_ROWS = 20
PREVIEW_CHARS = 1000  # of a cell; what is cut off is marked
# Together with two more reads of the sample below two seconds, whatever the data.
COUNT_SECONDS = 0.7
SAMPLE_SECONDS = 0.4
RECENT_JOBS = 10
TELLING_ROWS = 10_000  # a smaller job's time is all start and end
ROWS_PER_SECOND = 50_000  # of an organization that has no such job yet: what every format does on two cores
START_SECONDS = 1.0


@dataclass(frozen=True)
class Preflight:
    """What a create would give; sizes and times are expectations. `rows` is exact, or else what the database's planner
    expects (on SQLite: at least so many)."""

    rows: int
    rows_exact: bool
    size_bytes: int
    seconds: float
    sampled_rows: int
    header: list[str]
    preview: list[Row]
    warnings: list[Hazard]


def preflight(user: User, organization: Organization, spec: Spec) -> Preflight:
    """Tries the spec on the organization's tasks and writes nothing. Raises Forbidden, NotFound."""
    jobs.require_create(user, organization, spec)
    query = sources.compile_query(spec, [organization.pk])
    with sources.snapshot(FORMATS[spec.format].style(spec)) as snapshot:
        counted = _count(snapshot, query)
        try:
            with snapshot.within(SAMPLE_SECONDS):
                raw, is_all = _raw_rows(snapshot, query)
            sampled = len(raw)
            if is_all:  # whatever was expected
                counted = sampled, True
            rows, exact = counted if counted[1] else (max(counted[0], sampled), False)
            with snapshot.within(SAMPLE_SECONDS):
                file, issues = _written(snapshot, sources.first(query, sampled), spec, rows)
            with snapshot.within(SAMPLE_SECONDS):
                empty, _ = _written(snapshot, sources.first(query, 0), spec, rows)
        except TooSlow:
            return _unseen(organization, spec, *counted)
    size = len(file) if sampled >= rows else len(empty) + round((len(file) - len(empty)) * rows / max(1, sampled))
    sample = f"all {sampled:,} rows" if exact and sampled == rows else f"the first {sampled:,} rows"
    titles, kinds = spec.titles, [column.kind for column in query.columns]
    by_key = {column.key: title for column, title in zip(query.columns, titles, strict=True)}
    found = chain(
        hazards.of_size(spec, rows, exact=exact),
        hazards.of_texts(spec, titles, kinds, raw, sample),
        hazards.of_issues(by_key, issues.found, rows, sampled, sample),
    )
    preview = [[_short(cell) for cell in row] for row in first_rows(file, spec, PREVIEW_ROWS)]
    return Preflight(rows, exact, size, _seconds(organization, spec, rows), sampled, titles, preview, list(found))


def count(organization: Organization, spec: Spec) -> tuple[int, bool]:
    """How many of the organization's rows the spec gives, and whether that is exact; found in less than a second."""
    query = sources.compile_query(spec, [organization.pk])
    with sources.snapshot(FORMATS[spec.format].style(spec)) as snapshot:
        return _count(snapshot, query)


def _unseen(organization: Organization, spec: Spec, rows: int, exact: bool) -> Preflight:
    slow = Hazard(
        "no_sample", f"The first rows were not found within {SAMPLE_SECONDS} s, so size and hazards are not known; the export itself has time."
    )
    found = [slow, *hazards.of_size(spec, rows, exact=exact)]
    return Preflight(rows, exact, 0, _seconds(organization, spec, rows), 0, spec.titles, [], found)


def _short(cell: str | None) -> str | None:
    return cell if cell is None or len(cell) <= PREVIEW_CHARS else cell[:PREVIEW_CHARS] + "…"


def _count(snapshot: Snapshot, query: Query) -> tuple[int, bool]:
    """How many rows, and whether that is exact."""
    least = 0
    try:
        with snapshot.within(COUNT_SECONDS):
            least = snapshot.count(sources.first(query, EXACT_ROWS + 1))
            if least <= EXACT_ROWS:
                return least, True
            expected = snapshot.estimate(query)
            return (snapshot.count(query), True) if expected is None else (max(least, expected), False)
    except TooSlow:
        return max(least, snapshot.estimate(query) or 0), False


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _raw_rows(snapshot: Snapshot, query: Query) -> tuple[list[list[str | None]], bool]:
    """The first rows' cells as they are stored, texts neither guarded nor cut; and whether these are all rows."""
    rows: list[list[str | None]] = []
    size = 0
    lines = snapshot.text_lines(sources.first(query, SAMPLE_ROWS), Style(guard=False, form=Form.JSON))
    for line in chain.from_iterable(lines):
        size += len(line)
        if rows and size > SAMPLE_BYTES:
            return rows, False
        rows.append([None if cell == "\\N" else _plain(cell) for cell in line[:-1].decode().split("\t")])
    return rows, len(rows) < SAMPLE_ROWS


def _plain(cell: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), cell) if "\\" in cell else cell


def _written(snapshot: Snapshot, query: Query, spec: Spec, rows: int) -> tuple[bytes, Issues]:
    """The file that the real format writes of these rows, and what it could not hold."""
    issues = Issues(rows, fails=False)
    pieces: Iterator[bytes] = FORMATS[spec.format].write(snapshot, query, spec, Target(rows, "preflight", datetime.now(UTC), issues))
    return b"".join(pieces), issues


def _seconds(organization: Organization, spec: Spec, rows: int) -> float:
    """How long a run is likely to take, by the organization's recent jobs of the same format."""
    recent: QuerySet[ExportJob] = ExportJob.objects.filter(
        organization=organization, status=JobStatus.DONE, format=spec.format, file__rows__gte=TELLING_ROWS, started_at__isnull=False
    )
    times = recent.order_by("-created_at", "-pk").values_list("file__rows", "started_at", "finished_at")[:RECENT_JOBS]
    done = [(count, (finished - started).total_seconds()) for count, started, finished in times if started and finished]
    spent = sum(seconds for _, seconds in done)
    rate = sum(count for count, _ in done) / spent if spent > 0 else ROWS_PER_SECOND
    return round(START_SECONDS + rows / rate, 1)
