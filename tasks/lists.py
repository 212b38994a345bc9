"""Long lists, page by page: an order that an index gives, and the rows behind a place in it, however deep."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.cache import caches
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, DateTimeField, F, Func, Model, Q, QuerySet, Value
from django.db.models.expressions import OrderBy

AnyModel = TypeVar("AnyModel", bound=Model)
MANY, MANY_SECONDS = 100_000, 60  # counting fewer takes milliseconds
MANY_SHOWN = 10_000  # a person pages through no more of them one by one


@dataclass(frozen=True)
class Order:
    """By a column, then by id. Missing values are the largest: an index of PostgreSQL has them so."""

    column: str
    descending: bool = False


class Behind(Func):
    """Whether (column, id) lies behind (value, id). As a row it is one range of an index; written out with OR it would be a filter."""

    output_field = BooleanField()
    arity = 4
    sign = ">"

    def as_sql(self, compiler: Any, connection: Any, *unused: Any, **extra: Any) -> Any:
        parts = [compiler.compile(each) for each in self.source_expressions]
        if connection.vendor == "sqlite" and isinstance(self.source_expressions[0].output_field, DateTimeField):
            for each in (0, 2):
                parts[each] = _with_six_digits(*parts[each])
        column, pk, value, last = (sql for sql, _ in parts)
        return f"({column}, {pk}) {self.sign} ({value}, {last})", [param for _, params in parts for param in params]


def _with_six_digits(sql: str, params: Any) -> tuple[str, Any]:
    """A time as SQLite's text of it, six digits behind its point: the database's own have three there, Django's six or, of a whole second, none."""
    return f"substr({sql} || CASE WHEN instr({sql}, '.') THEN '000' ELSE '.000000' END, 1, 26)", [*params, *params]


class Ahead(Behind):
    """The same of a descending order."""

    sign = "<"


def in_order(rows: QuerySet[AnyModel], order: Order) -> QuerySet[AnyModel]:
    """The rows in this order."""
    by = [OrderBy(F("pk"), descending=order.descending)]
    if order.column != "pk":
        nulls: dict[str, Any] = {"nulls_first" if order.descending else "nulls_last": True} if _may_miss(rows, order) else {}
        by.insert(0, OrderBy(F(order.column), descending=order.descending, **nulls))
    return rows.order_by(*by)


def ids_behind(rows: QuerySet[AnyModel], order: Order, value: Any, pk: Any, count: int) -> list[Any]:
    """The ids of at most `count` rows that follow the row of this value and id, whether or not it is still there."""
    found: list[Any] = []
    for part in parts_behind(rows, order, value, pk):
        if len(found) < count:
            found += in_order(part, order).values_list("pk", flat=True)[: count - len(found)]
    return found


def total(rows: QuerySet[Any]) -> int:
    """How many rows there are: exactly, and of more than MANY as it was up to MANY_SECONDS ago, so that who pages through a long list does
    not have it counted for each page."""
    try:
        asked = rows.order_by().query.sql_with_params()
    except EmptyResultSet:
        return 0
    key = hashlib.sha256(repr(asked).encode()).hexdigest()
    found: int | None = caches["totals"].get(key)
    if found is None:
        found = rows.order_by().count()
        if found > MANY:
            caches["totals"].set(key, found, MANY_SECONDS)
    return found


def estimate(rows: QuerySet[Any]) -> int:
    """How many rows there are: counted up to MANY_SHOWN; of more, on PostgreSQL, what its statistics say."""
    counted = rows.order_by().values("pk")[: MANY_SHOWN + 1].count() if connection.vendor == "postgresql" else rows.order_by().count()
    if connection.vendor != "postgresql" or counted <= MANY_SHOWN:
        return counted
    (plan,) = json.loads(rows.order_by().values("pk").explain(format="json"))
    return max(counted, int(plan["Plan"]["Plan Rows"]))


def is_estimate(count: int) -> bool:
    """Whether an `estimate` of so many was not counted."""
    return connection.vendor == "postgresql" and count > MANY_SHOWN


def page(rows: QuerySet[AnyModel], start: int, size: int) -> list[AnyModel]:
    """So many of the rows, in their order, from this place on. Their ids come first, out of an index alone however deep they lie; only
    these rows are joined and annotated."""
    ids = list(rows.values_list("pk", flat=True)[start : start + size])
    found = rows.order_by().in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]  # one may be gone by now


def _may_miss(rows: QuerySet[Any], order: Order) -> bool:
    return bool(rows.model._meta.get_field(order.column).null)


def parts_behind(rows: QuerySet[AnyModel], order: Order, value: Any, pk: Any) -> list[QuerySet[AnyModel]]:
    """What lies behind this place, in parts to be read one after the other, each of which is one range of the order's index."""
    # Missing values are a part of their own.
    behind_pk = Q(pk__lt=pk) if order.descending else Q(pk__gt=pk)
    if order.column == "pk":
        return [rows.filter(behind_pk)]
    field: Any = rows.model._meta.get_field(order.column)
    missing, there = rows.filter(**{f"{order.column}__isnull": True}), rows.filter(**{f"{order.column}__isnull": False})
    if value is None:
        return [missing.filter(behind_pk), there] if order.descending else [missing.filter(behind_pk)]
    kind = Ahead if order.descending else Behind
    behind = rows.filter(kind(F(order.column), F("pk"), Value(value, field), Value(pk, rows.model._meta.pk)))
    return [behind, missing] if field.null and not order.descending else [behind]


def holding(rows: QuerySet[AnyModel], column: str, part: str) -> QuerySet[AnyModel]:
    """The rows whose text holds this part, in any case of letters."""
    if connection.vendor != "sqlite":
        return rows.filter(**{f"{column}__icontains": part})
    # LIKE knows the case of ASCII alone there, Python's expressions that of every script.
    return rows.filter(**{f"{column}__iregex": re.escape(part)})
