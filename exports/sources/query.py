"""A spec as one SELECT, and its COUNT."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django.db.models import F, QuerySet

from exports import filters
from exports.datasets import DATASETS, Column, Spec

ALIAS = "default"  # exports may read a replica: one name here


@dataclass(frozen=True)
class Query:
    """A compiled SELECT with the columns aliased c0, c1, …, in the file's order, and its COUNT."""

    columns: tuple[Column, ...]
    sql: str
    params: tuple[Any, ...]
    count_sql: str
    count_params: tuple[Any, ...]


def compile_query(spec: Spec, organization_ids: list[int]) -> Query:
    """The SELECT for this spec over these organizations, in the spec's order; the row's id stands last, as `row_id`."""
    rows = DATASETS[spec.dataset].rows().filter(created_at__gte=spec.created_from)
    if spec.created_before:
        rows = rows.filter(created_at__lt=spec.created_before)
    # One organization by equality, so that the index gives the order too.
    rows = rows.filter(organization_id=organization_ids[0]) if len(organization_ids) == 1 else rows.filter(organization_id__in=organization_ids)
    if spec.filter:
        rows = rows.filter(filters.condition(spec.filter, DATASETS[spec.dataset], spec.timezone))
    order: list[Any] = [*(filters.order(spec.sort, DATASETS[spec.dataset]) if spec.sort else ["created_at"]), "id"]
    columns = spec.kinds()
    # An explicit alias a column: the same column may be chosen twice.
    chosen = {f"c{number}": column.expression for number, column in enumerate(columns)}
    sql, params = _compile(rows.order_by(*order).annotate(**chosen, row_id=F("pk")).values_list(*chosen, "row_id"))
    count_sql, count_params = _compile(rows.order_by().values_list("pk"))
    return Query(columns, sql, params, f"SELECT count(*) FROM ({count_sql}{_COUNTED}", count_params)


_COUNTED = ") AS counted"


def first(query: Query, rows: int) -> Query:
    """The same query cut to its first rows, and its count to as many."""
    limit = f" LIMIT {int(rows)}"
    return replace(query, sql=query.sql + limit, count_sql=query.count_sql.removesuffix(_COUNTED) + limit + _COUNTED)


def _compile(rows: QuerySet[Any, Any]) -> tuple[str, tuple[Any, ...]]:
    sql, params = rows.query.get_compiler(using=ALIAS).as_sql()
    return sql, tuple(params)
