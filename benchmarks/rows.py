"""The rows that all sides write: the layout `basic` and `body`, 23 columns with five joins, in the export's own order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from exports import sources
from exports.datasets import Spec, builtin_columns
from exports.services import specs
from tasks.models import Organization, Task, User

SLUG = "bench"
EMAIL = "bench@example.com"
PERIOD = {"creation_start_date": "1990-01-01", "creation_end_date": "2090-01-01"}
COLUMNS = (*builtin_columns("basic"), ("body", "instructions"))  # keys and titles
FETCH_ROWS = 2000


def organization() -> Organization:
    """Whose tasks they are."""
    return Organization.objects.get(slug=SLUG)


def user() -> User:
    """Who exports them."""
    return User.objects.get(email=EMAIL)


def bound(rows: int) -> datetime | None:
    """The time before which the first `rows` tasks were created; None where there are no more. Tasks of one instant stay together."""
    return Task.objects.filter(organization=organization()).order_by("created_at", "id").values_list("created_at", flat=True)[rows : rows + 1].first()


def wish(rows: int, **values: Any) -> specs.Wish:
    """An export of the first `rows` tasks."""
    made = specs.make({"org_name": "Bench", "name": f"{rows} rows", "type": "basic", **PERIOD, **values})
    return dataclasses.replace(
        made, spec=dataclasses.replace(made.spec, columns=tuple({"key": key, "title": title} for key, title in COLUMNS), created_before=bound(rows))
    )


def paths(spec: Spec) -> list[str]:
    """The columns as Django's lookups, in order."""
    return [str(getattr(column.expression, "name", column.key)) for column in spec.kinds()]


def tasks(spec: Spec) -> QuerySet[Task]:
    """The spec's tasks in order, as a queryset that anybody would write."""
    found = Task.objects.filter(organization=organization(), created_at__gte=spec.created_from).order_by("created_at", "id")
    return found.filter(created_at__lt=spec.created_before) if spec.created_before else found


def values(spec: Spec) -> Iterator[tuple[Any, ...]]:
    """The spec's cells as Django gives them."""
    return iter(tasks(spec).values_list(*paths(spec)).iterator(chunk_size=FETCH_ROWS))


def select(rows: int) -> dict[str, Any]:
    """Our SELECT with its parameters and where to ask: on PostgreSQL with the parameters inlined."""
    query = sources.compile_query(wish(rows).spec, [organization().pk])
    # What is written, without the row's id that rides along for issues.
    sql = f"SELECT {', '.join(f'c{number}' for number in range(len(query.columns)))} FROM ({query.sql}) AS chosen"
    where = connection.settings_dict
    if connection.vendor == "sqlite":
        return {"sql": sql.replace("%s", "?").replace("%%", "%"), "params": [str(value) for value in query.params], "database": where["NAME"]}
    with connection.cursor() as cursor:
        sql = cursor.cursor.mogrify(sql, query.params)
    return {"sql": sql, "host": where["HOST"], "user": where["USER"], "database": where["NAME"]}
