"""One import from the file to the tasks: read, check, stage, write, count."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from taskexport import ids
from taskexport.errors import FieldError, Invalid, NotFound
from tasks.importing import cells
from tasks.importing.load import load
from tasks.importing.mapping import ASSIGNEE, ATTRIBUTES, Mapping
from tasks.importing.rows import Cell, Table, open_table
from tasks.importing.staging import Staging, open_staging
from tasks.models import Organization
from tasks.models.fields import zones

BATCH_ROWS = 2000  # a few MB of Python objects, and few enough round trips
LISTED_ERRORS = 100
NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True)
class RowError:
    """What is wrong with one cell, or without `column` with a whole row; `line` counts from 1, the header included."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.reason}" if self.column else f"line {self.line}: {self.reason}"


@dataclass
class ImportResult:
    """What an import did; `bad` counts rows, `errors` are the first 100 in the file's order, `imported` is False where nothing was written."""

    rows_read: int = 0
    created: int = 0
    updated: int = 0
    bad: int = 0
    errors: list[RowError] = field(default_factory=list)
    seconds: float = 0.0
    imported: bool = False


@dataclass(frozen=True)
class Column:
    """One column of the staging table: the cell it reads (None: a constant), the header to blame, and how it is converted."""

    name: str
    index: int | None
    header: str
    convert: cells.Convert


@dataclass(frozen=True)
class Plan:
    """A mapping laid over one file's headers."""

    headers: list[str]
    columns: list[Column]
    assignee: Column | None
    attributes: list[tuple[int, str]] | None


def find_organization(name: str) -> Organization:
    """The organization of this id, uuid or slug, whoever asks. Raises NotFound."""
    text = name.strip()
    found = Organization.objects.filter(slug=text).first()
    if found is None and (number := ids.number(text)):
        found = Organization.objects.filter(pk=number).first()
    if found is None:
        try:
            found = Organization.objects.filter(uuid=uuid.UUID(text)).first()
        except ValueError:
            pass
    if found is None:
        raise NotFound(f"There is no organization {name!r}; write its id, uuid or slug.")
    return found


def import_tasks(
    organization: Organization,
    path: Path,
    mapping: Mapping,
    *,
    timezone: str | None = None,
    dry_run: bool = False,
    skip_bad: bool = False,
    finish: Callable[[ImportResult], None] | None = None,
) -> ImportResult:
    """Imports the file's rows all together, or with `skip_bad` the good ones; may be called twice, the second time as updates.

    `finish` is told the result inside the transaction that writes the rows, unless it is a dry run; what it raises undoes them.
    Raises Invalid where the mapping and the file do not fit; bad rows are no exception but the result's `errors`.
    """
    started = time.monotonic()
    zone = timezone or mapping.timezone or organization.timezone
    if zone not in zones():
        raise Invalid.field("timezone", f"{zone!r} is no IANA time zone; write one such as Europe/Amsterdam.")
    result = ImportResult()
    with open_table(path, mapping.delimiter) as table:
        plan = _plan(mapping, table.headers, ZoneInfo(zone))
        names = [column.name for column in plan.columns] + ([ATTRIBUTES] if plan.attributes is not None else [])
        with open_staging(connection, tuple(names)) as staging:
            _stage(staging, table, plan, result)
            _drop_twins(staging, plan, result)
            if result.bad == 0 or skip_bad:
                with transaction.atomic():
                    result.created, result.updated = load(staging, organization, has_people=plan.assignee is not None)
                    if finish is not None and not dry_run:
                        finish(result)
                    transaction.set_rollback(dry_run)
                result.imported = not dry_run
    result.seconds = time.monotonic() - started
    return result


def _plan(mapping: Mapping, headers: list[str], zone: ZoneInfo) -> Plan:
    missing = [header for header in mapping.headers if header not in headers]
    if missing:
        shown = ", ".join(repr(header) for header in headers)
        faults = [FieldError(f"columns.{header}", "unknown", "The file has no such column.") for header in missing]
        raise Invalid(
            f"The file has no column {', '.join(repr(header) for header in missing)}; it has {shown}. Correct the mapping's columns.", fields=faults
        )
    columns: list[Column] = []
    assignee = None
    for target in mapping.targets:
        index = None if target.header is None else headers.index(target.header)
        column = Column(target.name, index, target.header or f"constant {target.name}", cells.converter(target, zone))
        if index is None:
            _check_constant(column)
        if target.name == ASSIGNEE:
            assignee = column
            continue
        columns.append(column)
        if target.name == "due_at" and "due_on" not in mapping.names:
            columns.append(Column("due_on", index, column.header, cells.due_day(target, zone)))
    attributes = None
    if mapping.sets_attributes:
        wanted = mapping.kept | (set(headers) - set(mapping.headers) if mapping.keeps_unmapped else set())
        attributes = [(index, header) for index, header in enumerate(headers) if header in wanted]
    return Plan(headers, columns, assignee, attributes)


def _check_constant(column: Column) -> None:
    try:
        text = column.convert("")
        if column.name == ASSIGNEE:
            cells.people(text or "")
        if NOT_TEXT.search(text or ""):
            raise ValueError("it holds a NUL or half a character")
    except ValueError as error:
        raise Invalid.field(f"constants.{column.name}", f"{error}.") from None


def _stage(staging: Staging, table: Table, plan: Plan, result: ImportResult) -> None:
    rows: list[list[Any]] = []
    people: list[tuple[Any, ...]] = []
    for line, row in table.rows:
        result.rows_read += 1
        found, errors = (None, [RowError(line, "", row)]) if isinstance(row, str) else _convert(plan, line, row, people)
        if found is None:
            result.bad += 1
            result.errors += errors[: LISTED_ERRORS - len(result.errors)]
            continue
        rows.append(found)
        if len(rows) == BATCH_ROWS:
            staging.add(rows, people)
            rows, people = [], []
    staging.add(rows, people)


def _convert(plan: Plan, line: int, row: list[Cell], people: list[tuple[Any, ...]]) -> tuple[list[Any] | None, list[RowError]]:
    """The row for the staging table and no errors, or None and its errors; its members are added to `people` if it is good."""
    errors: list[RowError] = []
    values: list[Any] = [line]
    members: list[tuple[str, str]] = []
    if NOT_TEXT.search("\n".join(cell for cell in row if isinstance(cell, str))):
        return None, _no_text(plan, line, row)
    for column in plan.columns:
        try:
            values.append(column.convert("" if column.index is None else row[column.index]))
        except ValueError as error:
            one = RowError(line, column.header, str(error))
            if one not in errors:  # due_at and the day taken from it have one fault
                errors.append(one)
    if plan.assignee is not None:
        try:
            members = cells.people(plan.assignee.convert("" if plan.assignee.index is None else row[plan.assignee.index]) or "")
        except ValueError as error:
            errors.append(RowError(line, plan.assignee.header, str(error)))
    if errors:
        return None, errors
    if plan.attributes is not None:
        values.append(_encode({header: cells.text_of(row[index]) for index, header in plan.attributes if row[index]}))
    people += [(line, position, key, text) for position, (key, text) in enumerate(members)]
    return values, errors


def _no_text(plan: Plan, line: int, row: list[Cell]) -> list[RowError]:
    errors = []
    for header, cell in zip(plan.headers, row, strict=True):
        text = cells.text_of(cell)
        if "\0" in text:
            errors.append(RowError(line, header, "it holds a NUL character"))
        elif NOT_TEXT.search(text):
            errors.append(RowError(line, header, "it is not UTF-8: save the file as UTF-8"))
    return errors


def _drop_twins(staging: Staging, plan: Plan, result: ImportResult) -> None:
    """Takes out rows whose reference an earlier row has, and updates the planner's knowledge of what is left."""
    header = next((column.header for column in plan.columns if column.name == "external_id"), None)
    if header is not None:
        twins = "(SELECT line, external_id, min(line) OVER (PARTITION BY external_id) AS first FROM {rows}) t WHERE line <> first"
        found = staging.fetch(f"SELECT line, external_id, first FROM {twins} ORDER BY line LIMIT {LISTED_ERRORS}")
        if found:
            errors = [RowError(line, header, f"{cells.shown(text)} is there twice, first in line {first}") for line, text, first in found]
            result.errors = sorted([*result.errors, *errors], key=lambda error: error.line)[:LISTED_ERRORS]
            staging.execute(f"DELETE FROM {{people}} WHERE line IN (SELECT line FROM {twins})")
            result.bad += staging.execute(f"DELETE FROM {{rows}} WHERE line IN (SELECT line FROM {twins})")
    staging.settle()
