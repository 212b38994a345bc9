"""The benchmark measures what it says: 23 filled columns and five joins, the same rows on every side."""

from __future__ import annotations

import pytest

from benchmarks import rows
from tasks import demo
from tasks.models import Organization


@pytest.mark.django_db
def test_all_sides_read_the_same_filled_columns() -> None:
    demo.make_tasks(Organization.objects.create(slug=rows.SLUG, name="Bench"), 50, 1)
    spec = rows.wish(50).spec
    found = list(rows.values(spec))
    assert len(found) == 50
    assert all(any(row[number] not in (None, "") for row in found) for number in range(23))
    assert len(rows.COLUMNS) == len(spec.columns) == 23
    assert rows.select(50)["sql"].count(" JOIN ") == 5
