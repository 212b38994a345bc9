"""A spec as one SELECT, and its COUNT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BooleanField, F, Func, QuerySet, Subquery

from exports import filters
from exports.datasets import DATASETS, Column, Spec
from exports.expressions import looks_names_up, with_names_joined

ALIAS = "default"  # exports may read a replica: one name here


class Statement(NamedTuple):
    """A SELECT and its parameters."""

    sql: str
    params: tuple[Any, ...]


@dataclass(frozen=True)
class Query:
    """A compiled SELECT with the columns aliased c0, c1, …, in the file's order, and its COUNT."""

    columns: tuple[Column, ...]
    sql: str
    params: tuple[Any, ...]
    count_sql: str
    count_params: tuple[Any, ...]
    is_cut: bool = False  # to a window of its rows
    few: Statement | None = None  # the SELECT where only its first rows are wanted, if that is another one


def compile_query(spec: Spec, organization_ids: list[int]) -> Query:
    """The SELECT for this spec over these organizations, in the spec's order; the row's id stands last, as `row_id`."""
    period, rows = _rows(spec, organization_ids)
    order = _order(spec)
    columns = spec.kinds()
    shown = _chosen(rows.order_by(*order), columns)
    ids = rows.order_by().values_list("pk")
    if spec.window:
        # The only OFFSET: contracts with pages ask for it. Its count needs no order: it is cut at the same two places.
        cut = slice(spec.window["skip"], spec.window["skip"] + spec.window["most"])
        shown, ids = shown[cut], ids[cut]
    few, counted = _compile(shown), _compile(ids)
    # The join's own subquery looks names up where a condition asks for them, and is another one where it is cut without
    # an order: then it takes the whole period.
    among = _compile(period.order_by().values_list("pk")) if spec.window or looks_names_up(counted.sql) else counted
    many, counted = _for_many(shown, few, among), _for_many(ids, counted, among)
    return Query(columns, *many, f"{_COUNT}{counted.sql}{_COUNTED}", counted.params, spec.window is not None, few)


def _rows(spec: Spec, organization_ids: list[int]) -> tuple[QuerySet[Any, Any], QuerySet[Any, Any]]:
    """The rows of the spec's period, and those of them that its filter takes."""
    rows = DATASETS[spec.dataset].rows().filter(created_at__gte=spec.created_from)
    if spec.created_before:
        rows = rows.filter(created_at__lt=spec.created_before)
    # One organization by equality, so that the index gives the order too.
    rows = rows.filter(organization_id=organization_ids[0]) if len(organization_ids) == 1 else rows.filter(organization_id__in=organization_ids)
    return rows, rows.filter(filters.condition(spec.filter, DATASETS[spec.dataset], spec.timezone)) if spec.filter else rows


def _order(spec: Spec) -> list[Any]:
    return [*(filters.order(spec.sort, DATASETS[spec.dataset]) if spec.sort else ["created_at"]), "id"]


def compile_page(spec: Spec, organization_ids: list[int], skip: int, most: int) -> Query:
    """The SELECT of a page of the spec's rows. Their ids are found first, however deep they lie, and only these rows are joined and looked up."""
    _, rows = _rows(spec, organization_ids)
    order, columns = _order(spec), spec.kinds()
    ids = rows.order_by(*order).values("pk")[skip : skip + most]
    shown = DATASETS[spec.dataset].rows().filter(_Among(F("pk"), Subquery(ids)))
    counted = _compile(ids)
    return Query(columns, *_compile(_chosen(shown.order_by(*order), columns)), f"{_COUNT}{counted.sql}{_COUNTED}", counted.params, True)


class _Among(Func):
    """Whether a value is one of a subquery's. PostgreSQL runs it first, in place of a join that it might begin at the other end."""

    output_field = BooleanField()
    template = "(%(expressions)s)"
    arg_joiner = " IN "

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="(%(expressions)s))", arg_joiner=" = ANY(ARRAY", **extra)


def compile_row(spec: Spec, row_id: int, columns: tuple[Column, ...]) -> Query:
    """The SELECT of these columns in one row of the spec's dataset, of whatever organization."""
    rows = DATASETS[spec.dataset].rows().filter(pk=row_id)
    counted = _compile(rows.values_list("pk"))
    return Query(columns, *_compile(_chosen(rows.order_by(), columns)), f"{_COUNT}{counted.sql}{_COUNTED}", counted.params)


def _chosen(rows: QuerySet[Any, Any], columns: tuple[Column, ...]) -> QuerySet[Any, Any]:
    # An explicit alias a column: the same column may be chosen twice.
    chosen = {f"c{number}": column.expression for number, column in enumerate(columns)}
    return rows.annotate(**chosen, row_id=F("pk")).values_list(*chosen, "row_id")


_COUNT, _COUNTED = "SELECT count(*) FROM (", ") AS counted"


def first(query: Query, rows: int) -> Query:
    """The same query cut to its first rows, and its count to as many."""
    limit = f" LIMIT {int(rows)}"
    few = query.few or Statement(query.sql, query.params)
    sql, counted = few.sql, query.count_sql.removeprefix(_COUNT).removesuffix(_COUNTED)
    if query.is_cut:  # it has a LIMIT of its own
        sql, counted = f"SELECT * FROM ({sql}) AS cut", f"SELECT * FROM ({counted}) AS cut"
    return replace(query, sql=sql + limit, params=few.params, count_sql=_COUNT + counted + limit + _COUNTED)


def place_sql(query: Query, place: int) -> str:
    """The SELECT of the id of the row at this place, from 1."""
    return f"SELECT row_id FROM ({query.sql}) AS chosen LIMIT 1 OFFSET {int(place) - 1}"


def _compile(rows: QuerySet[Any, Any]) -> Statement:
    sql, params = rows.query.get_compiler(using=ALIAS).as_sql()
    return Statement(sql, tuple(params))


def _for_many(rows: QuerySet[Any, Any], statement: Statement, among: Statement) -> Statement:
    """The rows' statement, or on PostgreSQL one that joins what it would look up row by row."""
    if connections[ALIAS].vendor != "postgresql" or not looks_names_up(statement.sql):
        return statement
    return _compile(with_names_joined(rows, *among))
