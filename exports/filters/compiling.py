"""A frozen tree as a condition of the query, true or false but never unknown, the same on both databases."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, CharField, DateField, DateTimeField, Field, IntegerField, Q, TextField, UUIDField, Value
from django.db.models.expressions import F, OrderBy
from django.db.models.functions import Left
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, In, IsNull, LessThan, LessThanOrEqual

from exports.cells import Kind
from exports.datasets import Column, Dataset
from exports.datasets.chosen import TIMES
from exports.expressions import AnyCase, Bytewise, ContainsText
from exports.filters import values
from exports.filters.operators import NEGATIONS
from taskexport import moments
from taskexport.errors import AppError
from tasks.models.fields import PlainDecimalField

_FIELDS: dict[Kind, Field] = {
    Kind.TEXT: TextField(),
    Kind.PHONE: CharField(),
    Kind.INTEGER: IntegerField(),
    Kind.DECIMAL: PlainDecimalField(),
    Kind.BOOLEAN: BooleanField(),
    Kind.DATETIME: DateTimeField(),
    Kind.DATE: DateField(),
    Kind.UUID: UUIDField(),
}


def condition(tree: dict[str, Any], dataset: Dataset, zone: str) -> Q:
    """The rows that the tree means. A negative condition also holds where the value is missing. Raises AppError `column_gone`."""
    if "all" in tree:
        return Q(*(condition(part, dataset, zone) for part in tree["all"]))
    if "any" in tree:
        return Q(*(condition(part, dataset, zone) for part in tree["any"]), _connector=Q.OR)
    if "not" in tree:
        return ~condition(tree["not"], dataset, zone)
    column = dataset.column(tree["column"])
    if column is None:  # to leave the condition out would export more than was asked for
        raise AppError(f"The filter names the column {tree['column']}, which is gone. Make a new job without it.", code="column_gone")
    op = tree["op"]
    held = _held(column, NEGATIONS.get(op, op), tree.get("value"), zone)
    return ~held if op in NEGATIONS else held


def _held(column: Column, op: str, value: Any, zone: str) -> Q:
    source = column.expression
    if op == "is_empty":
        missing = Q(IsNull(source, True))
        return missing | Q(Exact(source, Value("", TextField()))) if column.kind in {Kind.TEXT, Kind.PHONE} else missing
    # With it a missing value makes the condition false where SQL would say unknown, and so its negation true.
    there = Q(IsNull(source, False))
    if column.kind in TIMES:
        return there & _in_time(column, op, value, zone)

    def of(each: Any) -> Value:
        return Value(values.plain(column.kind, each), _FIELDS[column.kind])

    if op == "in":
        return there & Q(In(source, [of(each) for each in value]))
    if op == "is_any_case":
        return there & Q(Exact(AnyCase(source), AnyCase(of(value))))
    if op == "contains":
        return there & Q(ContainsText(source, of(value)))
    if op == "starts_with":
        return there & Q(Exact(Left(source, len(value)), of(value)))
    if op == "between":
        return there & Q(GreaterThanOrEqual(source, of(value[0]))) & Q(LessThanOrEqual(source, of(value[1])))
    lookups = {"is": Exact, "lt": LessThan, "lte": LessThanOrEqual, "gt": GreaterThan, "gte": GreaterThanOrEqual}
    return there & Q(lookups[op](source, of(value)))


def _in_time(column: Column, op: str, value: Any, zone: str) -> Q:
    first, last = value if op == "between" else (value, value)
    start, until = values.span(column.kind, first, zone)[0], values.span(column.kind, last, zone)[1]
    if op in {"before", "lt"}:
        return _within(column, None, start)
    if op in {"after", "gt"}:  # nothing lies behind the end of time
        return _within(column, until, None) if until else Q(IsNull(column.expression, True))
    return _within(column, None if op == "lte" else start, None if op == "gte" else until)


_LOOKUPS = {"__gt": GreaterThan, "__gte": GreaterThanOrEqual, "__lt": LessThan, "__lte": LessThanOrEqual}


def _within(column: Column, first: Any, until: Any) -> Q:
    """What lies from the first time or day on, and before the other; None for no bound."""
    days = {"__gte": first, "__lt": until}
    bounds = {name: day for name, day in days.items() if day} if column.kind is Kind.DATE else moments.within("", first, until)
    return Q(*(_LOOKUPS[name](column.expression, Value(at, _FIELDS[column.kind])) for name, at in bounds.items()))


def order(sort: list[dict[str, str]], dataset: Dataset) -> list[OrderBy]:
    """The ORDER BY, without the id at its end: texts by their bytes, missing values last. Raises AppError `column_gone`."""
    found = []
    for each in sort:
        column = dataset.column(each["column"])
        if column is None:
            raise AppError(f"The export is sorted by the column {each['column']}, which is gone. Make a new job without it.", code="column_gone")
        source: Any = Bytewise(column.expression) if column.kind in {Kind.TEXT, Kind.PHONE} else column.expression
        # An index gives the order of what is never missing, but not with NULLS LAST.
        never_missing = isinstance(column.expression, F) and column.key in {"id", "created_at"}
        found.append(OrderBy(source, descending=each["direction"] == "desc", nulls_last=None if never_missing else True))
    return found
