"""A spec as one SELECT, and its COUNT."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BooleanField, F, Func, QuerySet, Subquery, TextField, Value

from exports import filters
from exports.cells import Kind
from exports.datasets import DATASETS, Column, Spec
from exports.expressions import looks_names_up, with_names_joined
from taskexport import moments

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


def compile_query(spec: Spec, organization_ids: list[int], *, by_id: bool = False) -> Query:
    """The SELECT for this spec over these organizations, in the spec's order or by the row's id alone, which stands last, as `row_id`."""
    period, rows = _rows(spec, organization_ids)
    order = ["id"] if by_id else _order(spec)
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
    rows = _all_rows(spec, organization_ids).filter(**moments.within("created_at", spec.created_from, spec.created_before))
    return rows, rows.filter(filters.condition(spec.filter, DATASETS[spec.dataset], spec.timezone)) if spec.filter else rows


def _all_rows(spec: Spec, organization_ids: list[int]) -> QuerySet[Any, Any]:
    rows = DATASETS[spec.dataset].rows()
    # One organization by equality, so that the index gives the order too.
    return rows.filter(organization_id=organization_ids[0]) if len(organization_ids) == 1 else rows.filter(organization_id__in=organization_ids)


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


# -- Of a change export ---------------------------------------------------------------------------------------------
def compile_existing(spec: Spec, organization_ids: list[int], ids: list[int]) -> Query:
    """The SELECT of these ids alone, by id: those of rows that still exist in these organizations, whatever the spec's filter says."""
    column = DATASETS[spec.dataset].columns["id"]
    rows = _all_rows(spec, organization_ids).filter(_OneOf(F("pk"), ids=ids))
    return _counted(rows, (column,), _compile(_chosen(rows.order_by("id"), (column,))))


def compile_present(spec: Spec, organization_ids: list[int], ids: list[int], change: str) -> Query:
    """The SELECT of these rows, by id, whatever the spec's filter says; the first column, the spec's own, says this change."""
    first_column, *others = spec.kinds()
    columns = (replace(first_column, expression=Value(change, TextField())), *others)
    rows = _all_rows(spec, organization_ids).filter(_OneOf(F("pk"), ids=ids))
    return _counted(rows, columns, _compile(_chosen(rows.order_by("id"), columns)))


_TYPES = {
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.DATETIME: "timestamp with time zone",
    Kind.DATE: "date",
    Kind.UUID: "uuid",
    Kind.TEXT: "text",
    Kind.PHONE: "text",
}


def compile_absent(spec: Spec, ids: list[int], change: str) -> Query:
    """The SELECT of a row for each of these ids, by id, that is empty but for its id and this change."""
    columns = spec.kinds()
    is_postgres = connections[ALIAS].vendor == "postgresql"
    empty = [f"NULL::{_TYPES[column.kind]}" if is_postgres else "NULL" for column in columns]
    cells = ["%s" if number == 0 else "gone.id" if spec.columns[number].get("key") == "id" else cell for number, cell in enumerate(empty)]
    shown = ", ".join(f"{cell} AS c{number}" for number, cell in enumerate(cells))
    gone = "SELECT unnest(%s::bigint[]) AS id" if is_postgres else "SELECT value AS id FROM json_each(%s)"
    given = ids if is_postgres else json.dumps(ids)
    sql = f"SELECT {shown}, gone.id AS row_id FROM ({gone}) AS gone ORDER BY gone.id"
    return Query(columns, sql, (change, given), f"SELECT count(*) FROM ({gone}) AS counted", (given,))


class _OneOf(Func):
    """Whether a value is one of these numbers."""

    output_field = BooleanField()

    def __init__(self, value: Any, ids: list[int]) -> None:
        super().__init__(value)
        self._ids = ids

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"({sql} = ANY(%s::bigint[]))", (*params, self._ids)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"({sql} IN (SELECT value FROM json_each(%s)))", (*params, json.dumps(self._ids))


def _counted(rows: QuerySet[Any, Any], columns: tuple[Column, ...], statement: Statement) -> Query:
    counted = _compile(rows.order_by().values_list("pk"))
    return Query(columns, *statement, f"{_COUNT}{counted.sql}{_COUNTED}", counted.params)


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
