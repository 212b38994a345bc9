"""Which column goes where: the mapping file, checked as a whole before a row is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import models

from taskexport.errors import FieldError, Invalid
from tasks.models import Calendar, Case, CaseService, Flow, Hub, Subject, Task
from tasks.models.fields import zones

# Kept by us: nobody may set them from outside.
OURS = {"id", "attributes", "updated_at"}
PLAIN: dict[str, models.Field[Any, Any]] = {one.name: one for one in Task._meta.concrete_fields if not one.is_relation and one.name not in OURS}
NAMED: dict[str, type[models.Model]] = {
    "flow": Flow,
    "hub": Hub,
    "calendar": Calendar,
    "case_service": CaseService,
    "case": Case,
    "subject": Subject,
}
ASSIGNEE = "assignee"
ATTRIBUTES = "attributes"
SOME_TIME = datetime(2026, 3, 28, 9, 30, tzinfo=UTC)
TARGETS = [*PLAIN, *NAMED, ASSIGNEE]


@dataclass(frozen=True)
class Target:
    """One field of the task and what fills it: the column of this header, or without a header the constant `default`."""

    name: str
    header: str | None
    format: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    default: str | None = None


@dataclass(frozen=True)
class Mapping:
    """A checked mapping; `headers` are all it names, `kept` those whose text goes to the attributes although they are mapped."""

    targets: tuple[Target, ...]
    headers: tuple[str, ...]
    kept: frozenset[str]
    keeps_unmapped: bool
    timezone: str | None
    delimiter: str

    @property
    def names(self) -> list[str]:
        return [target.name for target in self.targets]

    @property
    def sets_attributes(self) -> bool:
        return self.keeps_unmapped or bool(self.kept)


def read_mapping(path: Path) -> Mapping:
    """The mapping in this JSON file. Raises Invalid."""
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_twins)
    except OSError as error:
        raise Invalid.field("map", f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise Invalid.field("map", f"{path} is no JSON: {error}.") from None
    return parse_mapping(data)


def parse_mapping(data: Any) -> Mapping:
    """The mapping in this JSON value. Raises Invalid, which lists every fault."""
    faults: list[FieldError] = []

    def fault(where: str, detail: str) -> None:
        faults.append(FieldError(where, "invalid", detail))

    if not isinstance(data, dict):
        raise Invalid.field("map", 'Write a JSON object such as {"columns": {"Number": "external_id", "Subject": "title"}}.')
    _check_keys(data, {"timezone", "delimiter", "columns", "constants", "unmapped"}, "", fault)
    targets: list[Target] = []
    kept: set[str] = set()
    columns = data.get("columns")
    if not isinstance(columns, dict) or not columns:
        fault("columns", 'Write an object of headers and targets, such as {"Number": "external_id"}.')
        columns = {}
    for header, entries in columns.items():
        for entry in entries if isinstance(entries, list) else [entries]:
            if entry == ATTRIBUTES or (isinstance(entry, dict) and entry == {"to": ATTRIBUTES}):
                kept.add(header)
            else:
                targets += _target(header, entry, fault)
    constants = data.get("constants", {})
    if not isinstance(constants, dict):
        fault("constants", 'Write an object of targets and texts, such as {"country": "US"}.')
        constants = {}
    for name, text in constants.items():
        if name not in TARGETS:
            fault(f"constants.{name}", f"There is no such target; the targets are {', '.join(TARGETS)}.")
        elif not isinstance(text, str):
            fault(f"constants.{name}", "Write a text, in quotes.")
        else:
            targets.append(Target(name, None, default=text))
    _check_together(targets, fault)
    zone, delimiter, unmapped = data.get("timezone"), data.get("delimiter", ","), data.get("unmapped", ATTRIBUTES)
    if zone is not None and zone not in zones():
        fault("timezone", f"{zone!r} is no IANA time zone; write one such as Europe/Amsterdam.")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        fault("delimiter", 'Write one character, such as "," or ";".')
    if unmapped not in (ATTRIBUTES, "ignore"):
        fault("unmapped", "Write attributes or ignore.")
    if faults:
        raise Invalid("The mapping is wrong. " + " ".join(f"{one.field}: {one.detail}" for one in faults), fields=faults)
    return Mapping(tuple(targets), tuple(columns), frozenset(kept), unmapped == ATTRIBUTES, zone, delimiter)


def _target(header: str, entry: Any, fault: Any) -> list[Target]:
    where = f"columns.{header}"
    options = {"to": entry} if isinstance(entry, str) else entry
    if not isinstance(options, dict):
        fault(where, 'Write a target such as "title", an object such as {"to": "title"}, or a list of those.')
        return []
    _check_keys(options, {"to", "format", "values", "default"}, f"{where}.", fault)
    name = options.get("to")
    if name not in TARGETS:
        fault(where, f"{name!r} is no target; the targets are {', '.join([*TARGETS, ATTRIBUTES])}.")
        return []
    pattern, values, default = options.get("format"), options.get("values", {}), options.get("default")
    if pattern is not None and (not isinstance(pattern, str) or not isinstance(PLAIN.get(name), models.DateField)):
        fault(f"{where}.format", f"A format belongs to a time or a day, and {name} is none: leave it out.")
        return []
    if pattern is not None and not _is_format(pattern):
        fault(f"{where}.format", f"{pattern!r} is no format of strptime; write one such as %m/%d/%Y %H:%M.")
        return []
    if not isinstance(values, dict) or not all(isinstance(text, str) for text in values.values()):
        fault(f"{where}.values", 'Write an object of texts, such as {"Closed": "complete"}.')
        return []
    if default is not None and not isinstance(default, str):
        fault(f"{where}.default", "Write a text, in quotes.")
        return []
    return [Target(name, header, pattern, values, default)]


def _is_format(pattern: str) -> bool:
    try:
        datetime.strptime(SOME_TIME.strftime(pattern), pattern)
    except ValueError:
        return False
    return "%" in pattern


def _check_keys(data: dict[str, Any], known: set[str], prefix: str, fault: Any) -> None:
    for key in data:
        if key not in known:
            fault(f"{prefix}{key}", f"There is no such key; the keys are {', '.join(sorted(known))}.")


def _check_together(targets: list[Target], fault: Any) -> None:
    seen: dict[str, Target] = {}
    for target in targets:
        if target.name in seen:
            fault(target.name, "Two sources fill this target: keep one.")
        seen[target.name] = target
    if "subject" in seen and "case" not in seen:
        fault("subject", "A subject belongs to a case: map a column or a constant to case too.")
    if "external_id" in seen and seen["external_id"].header is None:
        fault("constants.external_id", "Every row needs a reference of its own: map a column to it, or leave it out.")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict. Raises ValueError if a key comes twice, of which one would be lost in silence."""
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found
