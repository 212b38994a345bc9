"""A window of rows: count, rows and the last row's id agree, in one snapshot; specs without one are as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from exports import sources
from exports.datasets import Spec
from exports.formats import FORMATS
from exports.services import explaining, preflight, specs
from tasks.models import Organization, Task, User
from tests.making import EVERYTHING, make_job, make_tasks

pytestmark = pytest.mark.django_db(transaction=True)


def spec_of(**values: object) -> Spec:
    wish = {"org_name": "x", "name": "x", "type": "custom", "columns": ["id", "title"], "format": "ndjson", **EVERYTHING, **values}
    return specs.make(wish).spec


@pytest.mark.parametrize(
    ("skip", "most", "found"), [(0, 3, [1, 2, 3]), (3, 3, [4, 5, 6]), (6, 3, [7]), (7, 3, []), (10**12, 10**6, []), (0, 100, [1, 2, 3, 4, 5, 6, 7])]
)
def test_count_rows_and_last_row_agree(acme: Organization, globex: Organization, skip: int, most: int, found: list[int]) -> None:
    make_tasks(globex, 3)
    make_tasks(acme, 7)
    spec = spec_of(window={"skip": skip, "most": most}, sort=[{"column": "id"}])
    query = sources.compile_query(spec, [acme.pk])
    style = FORMATS["ndjson"].style(spec)
    with sources.snapshot(style) as snapshot:
        assert snapshot.count(query) == len(found)
        rows = [json.loads(line) for block in snapshot.json_lines(query, style, spec.titles) for line in block]
        assert snapshot.rows_read == len(found)
        assert [row["title"] for row in rows] == [f"Task {number}" for number in found]
        if rows:
            assert snapshot.row_id(query, len(rows)) == rows[-1]["id"]
        first = sources.first(query, 2)
        assert snapshot.count(first) == min(2, len(found))
        assert [json.loads(line) for block in snapshot.json_lines(first, style, spec.titles) for line in block] == rows[:2]


def test_a_task_is_explained_as_one_of_the_rows_of_which_the_file_has_a_page(acme: Organization, editor: User) -> None:
    make_tasks(acme, 2)
    spec = spec_of(window={"skip": 0, "most": 1}, sort=[{"column": "id"}])
    job = make_job(editor, acme)
    type(job).objects.filter(pk=job.pk).update(spec=spec.to_json())
    job.refresh_from_db()
    for found in Task.objects.all():
        reasons = explaining.explain(job, str(found.pk)).reasons
        assert [reason.code for reason in reasons] == ["meets_all", "page_only", "no_file"]
        assert "the 1. to 1., in their order" in reasons[1].detail


def test_a_preflight_keeps_to_the_window(acme: Organization, editor: User) -> None:
    make_tasks(acme, 7)
    answer = preflight.preflight(editor, acme, spec_of(window={"skip": 5, "most": 30}, format="csv"))
    assert (answer.rows, answer.rows_exact, len(answer.preview)) == (2, True, 2)
    assert Task.objects.count() == 7


def test_a_spec_says_its_window_only_where_it_has_one() -> None:
    plain = spec_of()
    assert {"window", "stem"}.isdisjoint(plain.to_json())
    assert Spec.from_json(plain.to_json()) == plain
    cut = replace(plain, window={"skip": 30, "most": 30}, stem="x")
    assert Spec.from_json(json.loads(json.dumps(cut.to_json()))) == cut
    assert specs.in_words(cut).endswith("rows 31 to 60")
