"""PostgreSQL has an index for every order and range of the list of tasks, and one for parts of titles."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from tasks.lists import Order, holding, in_order, parts_behind
from tasks.models import Organization, Task
from tests.making import as_if_new

pytestmark = [pytest.mark.django_db, pytest.mark.skipif("connection.vendor != 'postgresql'")]
TIME = datetime(2024, 1, 1, tzinfo=UTC)
INDEXES = {
    "created_at": ("task_export_order", TIME),
    "updated_at": ("task_by_update", TIME),
    "completed_at": ("task_by_completion", TIME),
    "due_on": ("task_by_due_day", date(2024, 1, 1)),
    "pk": ("task_by_id", 1),
}


def plan(rows: QuerySet[Any], *off: str) -> str:
    """How the rows would be found if there were many: a scan of all is no choice here."""
    as_if_new("tasks_task")
    with connection.cursor() as cursor:
        for name in ("seqscan", *off):
            cursor.execute(f"SET LOCAL enable_{name} = off")
    return rows.explain()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("column", INDEXES)
def test_a_page_of_ids_comes_out_of_one_index_alone(acme: Organization, column: str, descending: bool) -> None:
    rows, order, (index, value) = Task.objects.filter(organization=acme), Order(column, descending), INDEXES[column]
    pages = [rows, *parts_behind(rows, order, value, 5), *parts_behind(rows, order, None, 5)]
    for page in pages[: 2 if column in {"pk", "created_at", "updated_at"} else None]:  # these are never missing
        found = plan(in_order(page, order).values_list("pk", flat=True)[:26], "sort", "bitmapscan")
        assert f"Index Only Scan{' Backward' if descending else ''} using {index}" in found, found
        assert "Sort" not in found, found
    if column != "pk":
        assert "ROW(" in plan(in_order(parts_behind(rows, order, value, 5)[0], order)[:26], "sort", "bitmapscan")


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ({"status": "none"}, "task_by_state"),
        ({"calendar": 1}, "task_by_calendar"),
    ],
)
def test_a_filters_newest_come_out_of_its_index(acme: Organization, values: dict[str, Any], index: str) -> None:
    rows = in_order(Task.objects.filter(organization=acme, **values), Order("created_at", descending=True))
    assert f"Backward using {index}" in plan(rows.values_list("pk", flat=True)[:26], "sort", "bitmapscan")


@pytest.mark.parametrize(("column", "index"), [("alert_at", "task_by_alert"), ("alert_sent_at", "task_by_alert_sent")])
def test_a_range_of_alerts_has_an_index(acme: Organization, column: str, index: str) -> None:
    rows = Task.objects.filter(organization=acme, **{f"{column}__gt": TIME})
    assert index in plan(in_order(rows, Order(column)).values_list("pk", flat=True)[:26], "sort", "bitmapscan")


def test_a_part_of_a_title_has_an_index(acme: Organization) -> None:
    assert "task_title_parts" in plan(holding(Task.objects.all(), "title", "meter"), "indexscan", "indexonlyscan")
