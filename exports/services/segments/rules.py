"""What a segment says: rules, compiled into the one tree of conditions that every export reads.

A definition is `{"entity"?, "index"?, "join": "all" | "any", "chain_id"?, "rules": [...]}`; a rule is `{"field_name", "field_type",
"operator", …}` with what its operator needs. It is kept as it was sent; times relative to now are pinned when a job is made.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from exports import filters
from exports.cells import Kind
from exports.datasets import DATASETS, Dataset
from exports.datasets.chosen import is_text
from exports.filters.operators import UNITS
from exports.services.schedules import recurrence
from taskexport.errors import FieldError, Invalid
from tasks.models import Organization

ENTITY_LENGTH = 100
MOST_RULES = 100
JOINS = ("all", "any")
FIELD_TYPES: dict[str, frozenset[Kind]] = {
    "keyword": frozenset({Kind.TEXT, Kind.PHONE, Kind.UUID}),
    "text": frozenset({Kind.TEXT, Kind.PHONE}),
    "number": frozenset({Kind.INTEGER, Kind.DECIMAL}),
    "date": frozenset({Kind.DATETIME, Kind.DATE}),
    "boolean": frozenset({Kind.BOOLEAN}),
}
_WORDS, _NUMBERS, _DATES = ("keyword", "text"), ("number",), ("date",)
# operator: (our own, the types of field that have it, the keys of its value)
OPERATORS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "is": ("is", (*_WORDS, *_NUMBERS, "boolean"), ("value",)),
    "is_not": ("is_not", (*_WORDS, *_NUMBERS, "boolean"), ("value",)),
    "contains": ("contains", _WORDS, ("value",)),
    "does_not_contain": ("does_not_contain", _WORDS, ("value",)),
    "is_date": ("on", _DATES, ("value",)),
    "is_after_date": ("after", _DATES, ("value",)),
    "is_before_date": ("before", _DATES, ("value",)),
    "is_between_date": ("between", _DATES, ("start_date", "end_date")),
    "is_between_number": ("between", _NUMBERS, ("min", "max")),
    "relative_less_than": ("within_last", _DATES, ("time_factor", "time_amount")),
    "relative_more_than": ("more_than_ago", _DATES, ("time_factor", "time_amount")),
}
DEFINITION_KEYS = ("entity", "index", "join", "chain_id", "rules")
_CLOCK_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)", re.ASCII)


class _Errors(list[FieldError]):
    def refuse(self, at: str, detail: str, code: str = "invalid") -> None:
        self.append(FieldError(at, code, detail))

    def settle(self) -> None:
        if self:
            raise Invalid.all(self)


def checked(given: Any, organization: Organization, dataset: str | None = None, *, at: str = "segment") -> tuple[str, dict[str, Any]]:
    """The name of the dataset that a definition is of, and the definition as it is kept.

    `dataset` is the one it must be of, where that is known already. Raises Invalid with a path for each error.
    """
    errors = _Errors()
    if not isinstance(given, dict):
        raise Invalid.field(at, "Write an object of join and rules.")
    for key in given.keys() - set(DEFINITION_KEYS):
        errors.refuse(_path(at, str(key)), f"There is no such field; the fields are {', '.join(DEFINITION_KEYS)}.", "unknown")
    index = given.get("index", dataset)
    if not isinstance(index, str) or index not in DATASETS:
        errors.refuse(_path(at, "index"), f"Write one of: {', '.join(DATASETS)}.")
    elif dataset is not None and index != dataset:
        errors.refuse(_path(at, "index"), f"The export is of {dataset}; a segment of {index} does not fit.")
    entity = given.get("entity", "")
    if entity is not None and not is_text(entity, ENTITY_LENGTH):
        errors.refuse(_path(at, "entity"), f"Write at most {ENTITY_LENGTH} characters.")
    if str(given.get("chain_id", organization.pk)) != str(organization.pk):
        errors.refuse(_path(at, "chain_id"), "The segment is of another chain; leave chain_id out, or name the task's.")
    join, rules = given.get("join", "all"), given.get("rules")
    if join not in JOINS:
        errors.refuse(_path(at, "join"), f"Write one of: {', '.join(JOINS)}.")
    if not isinstance(rules, list) or not 1 <= len(rules) <= MOST_RULES:
        errors.refuse(_path(at, "rules"), f"Write a list of 1 to {MOST_RULES} rules; for all records leave the segment out.")
    errors.settle()
    assert isinstance(index, str)  # noqa: S101 - it is one of the datasets
    kept = {"entity": entity or "", "index": index, "join": join, "rules": rules}
    tree(kept, now=None, zone=organization.timezone, at=at)
    return index, kept


def tree(definition: dict[str, Any], *, now: datetime | None, zone: str, at: str = "segment") -> dict[str, Any]:
    """The definition as a checked tree of conditions; times without a zone are in this one. Relative times are pinned to `now`
    (None: left as they are). Raises Invalid with a path for each error."""
    dataset, errors = DATASETS[definition["index"]], _Errors()
    found = []
    for number, rule in enumerate(definition["rules"]):
        try:
            found.append(_leaf(rule, dataset, now, zone, _path(at, f"rules[{number}]")))
        except Invalid as error:
            errors.extend(error.fields)
    errors.settle()
    return {definition["join"]: found}


def in_words(definition: dict[str, Any], zone: str) -> str:
    """The definition as part of a sentence; of one whose rules do not fit (any more, or in this zone) what is wrong, so that no list fails."""
    try:
        return filters.in_words(tree(definition, now=None, zone=zone, at=""), DATASETS[definition["index"]])
    except Invalid as error:
        return f"conditions that can't be read any more: {error.message}"


def _path(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _leaf(rule: Any, dataset: Dataset, now: datetime | None, zone: str, at: str) -> dict[str, Any]:
    errors = _Errors()
    if not isinstance(rule, dict):
        raise Invalid.field(at, "Write an object of field_name, field_type, operator and what the operator needs.")
    operator, field_type = rule.get("operator"), rule.get("field_type")
    known = isinstance(operator, str) and operator in OPERATORS
    own, types, keys = OPERATORS[operator] if known and isinstance(operator, str) else ("", (), ())
    column = dataset.column(rule["field_name"]) if is_text(rule.get("field_name")) else None
    if column is None:
        errors.refuse(f"{at}.field_name", f"{dataset.name} have no such field; they have: {', '.join(dataset.columns)}.")
    if not isinstance(field_type, str) or field_type not in FIELD_TYPES:
        errors.refuse(f"{at}.field_type", f"Write one of: {', '.join(FIELD_TYPES)}.")
    elif column is not None and column.kind not in FIELD_TYPES[field_type]:
        fitting = [name for name, kinds in FIELD_TYPES.items() if column.kind in kinds]
        errors.refuse(f"{at}.field_type", f"{column.key} is not of this type; write {' or '.join(fitting)}.")
    if not known:
        errors.refuse(f"{at}.operator", f"Write one of: {', '.join(OPERATORS)}.")
    elif isinstance(field_type, str) and field_type in FIELD_TYPES and field_type not in types:
        fitting = [name for name, (_, has, _) in OPERATORS.items() if field_type in has]
        errors.refuse(f"{at}.operator", f"A {field_type} has: {', '.join(fitting)}.")
    for key in sorted(rule.keys() - {"field_name", "field_type", "operator", *keys}) if known else ():
        errors.refuse(f"{at}.{key}", f"{operator} has no such field; it has: {', '.join(keys)}.", "unknown")
    for key in keys:
        if key not in rule:
            errors.refuse(f"{at}.{key}", f"{operator} needs it.", "required")
    errors.settle()
    assert column is not None  # noqa: S101 - else it was refused
    if "time_factor" in keys:
        if not isinstance(rule["time_factor"], str) or rule["time_factor"] not in UNITS:
            raise Invalid.field(f"{at}.time_factor", f"Write one of: {', '.join(UNITS)}.")
        value: Any = {"unit": rule["time_factor"], "amount": rule["time_amount"]}
    else:
        values = [_in_zone(rule[key], zone) if field_type == "date" and column.kind is Kind.DATETIME else rule[key] for key in keys]
        value = values[0] if len(values) == 1 else values
    try:
        return filters.checked({"column": column.key, "op": own, "value": value}, dataset, now=now, zone=zone, at=at)
    except Invalid as error:
        ours = {f"{at}.value": "time_amount" if "time_factor" in keys else keys[0], **{f"{at}.value[{n}]": key for n, key in enumerate(keys)}}
        fields = [FieldError(f"{at}.{ours.get(field.field, 'operator')}", field.code, field.detail) for field in error.fields]
        raise Invalid("; ".join(f"{field.field}: {field.detail}" for field in fields), fields=fields) from None


def _in_zone(value: Any, zone: str) -> Any:
    """A time without a zone as one with; anything else as it is."""
    match = _CLOCK_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    try:
        at = recurrence.instant(datetime.fromisoformat(f"{match[1]}T{match[2]}"), zone)
    except (ValueError, OverflowError):
        return value  # refused with the others
    return at.isoformat().replace("+00:00", "Z")
