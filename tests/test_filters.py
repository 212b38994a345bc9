"""Filters: random trees over random tasks are what plain Python says; refusals name their path; relative times are pinned."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports import filters, sources
from exports.cells import Kind, Style
from exports.datasets import DATASETS
from exports.filters.operators import OPERATORS
from exports.services import specs
from taskexport.errors import AppError, Invalid
from tasks.models import Hub, Member, Organization, Task, TaskAssignee
from tests.making import EVERYTHING
from tests.test_datasets import read, spec_of

pytestmark = pytest.mark.django_db(transaction=True)
TASKS = DATASETS["tasks"]
ZONE = "America/New_York"
NOW = datetime(2024, 3, 31, 12, 0, tzinfo=UTC)


def leaf(column: str, op: str, *value: Any) -> dict[str, Any]:
    return {"column": column, "op": op, **({"value": value[0]} if value else {})}


def found(organization: Organization, tree: Any, *, zone: str = "UTC", **changes: Any) -> list[str]:
    frozen = filters.checked(tree, TASKS, now=NOW, zone=zone)
    spec = replace(spec_of("title", filter=frozen, timezone=zone), **changes)
    return [row["title"] for row in read(organization, spec)]


# -- Against a plain Python oracle ---------------------------------------------------------------------------------
TEXTS = ["", "Oslo", "OSLO", "Zoë", "ZOË", "Straße", "100%", "a_b", "a\\b", "İstanbul", "ΣΑΣ", "'", '"']
DAYS = [date(2024, 2, 29), date(2024, 3, 10), date(2024, 11, 3), date.min, date.max]
TIMES = [datetime(2024, 3, 10, hour, 30, second, micro, tzinfo=UTC) for hour, second, micro in ((4, 0, 0), (5, 59, 999999), (23, 1, 1))]
MOMENTS = ["2024-03-10", "2024-03-09", "2024-03-10T05:30:59Z", "2024-03-10T04:30:00.000000+00:00", "9999-12-31", "0001-01-01"]
ATTRIBUTES: list[dict[str, Any]] = [{}, {"k": None}, {"k": "Oslo"}, {"k": ""}, {"k": "Zoë"}]
NUMBERS = [Decimal("0"), Decimal("-1.5"), Decimal("39.3470107281118"), Decimal("0.0000001")]


def _case(text: str) -> str:
    return "".join(character.lower()[0] for character in text)


@st.composite
def leaves(draw: st.DrawFn) -> dict[str, Any]:
    column = draw(st.sampled_from(["title", "city", "hub", "attributes.k", "assignees", "recipient_phone", "latitude", "id", "due_at", "due_on"]))
    kind = TASKS.column(column).kind
    op = draw(st.sampled_from([op for op in OPERATORS[kind] if op not in {"within_last", "within_next", "more_than_ago"}]))
    if op in {"is_empty", "is_not_empty"}:
        return leaf(column, op)
    choices: dict[Kind, Any] = {
        Kind.TEXT: st.sampled_from([text for text in TEXTS if text] + ["o", "Ë", "ß", "i", "σ"]),
        Kind.DECIMAL: st.sampled_from([*map(str, NUMBERS), 0, -1.5]),
        Kind.INTEGER: st.integers(0, 60),
        Kind.DATETIME: st.sampled_from(MOMENTS),
        Kind.DATE: st.sampled_from([day.isoformat() for day in DAYS]),
    }
    value = choices[Kind.TEXT if kind is Kind.PHONE else kind]
    if op in {"in", "not_in"}:
        return leaf(column, op, draw(st.lists(value, min_size=1, max_size=4)))
    if op == "between":
        ends = sorted(draw(st.lists(value, min_size=2, max_size=2)), key=lambda each: float(each) if kind in {Kind.DECIMAL, Kind.INTEGER} else each)
        return leaf(column, op, ends)
    return leaf(column, op, draw(value))


trees = st.recursive(
    leaves(),
    lambda some: st.one_of(
        st.fixed_dictionaries({"all": st.lists(some, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(some, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": some}),
    ),
    max_leaves=8,
)


def holds(tree: dict[str, Any], row: dict[str, Any]) -> bool:
    """What the tree says of a row, in plain Python."""
    if "all" in tree:
        return all(holds(part, row) for part in tree["all"])
    if "any" in tree:
        return any(holds(part, row) for part in tree["any"])
    if "not" in tree:
        return not holds(tree["not"], row)
    op, cell = tree["op"], row[tree["column"]]
    value: Any = tree.get("value")
    negated = {"is_not": "is", "not_in": "in", "does_not_contain": "contains", "is_not_empty": "is_empty"}
    if op in negated:
        return not holds({**tree, "op": negated[op]}, row)
    if op == "is_empty":
        return cell is None or cell == ""
    if cell is None:
        return False
    if isinstance(cell, str):
        answers = {
            "is": lambda: cell == value,
            "in": lambda: cell in value,
            "is_any_case": lambda: _case(value) == _case(cell),
            "contains": lambda: _case(value) in _case(cell),
        }
        return answers.get(op, lambda: cell.startswith(value))()
    if isinstance(cell, date):
        bounds = [_bounds(cell, each) for each in (value if isinstance(value, list) else [value])]
        start, until = bounds[0][0], bounds[-1][1]
        before, behind = cell < start, until is not None and cell >= until
        return {"before": before, "lt": before, "after": behind, "gt": behind, "gte": not before, "lte": not behind}.get(
            op, not before and not behind
        )
    numbers = [Decimal(str(each)) for each in (value if isinstance(value, list) else [value])]
    if op in {"is", "in"}:
        return cell in numbers
    answers = {"lt": lambda: cell < numbers[0], "lte": lambda: cell <= numbers[0], "gt": lambda: cell > numbers[0], "gte": lambda: cell >= numbers[0]}
    return answers.get(op, lambda: numbers[0] <= cell <= numbers[-1])()


def _bounds(cell: date, text: str) -> tuple[Any, Any]:
    if not isinstance(cell, datetime):
        day = date.fromisoformat(text)
        return day, None if day == date.max else day + timedelta(days=1)
    if len(text) > 10:
        at = datetime.fromisoformat(text)
        return at, at + (timedelta(microseconds=1) if "." in text else timedelta(seconds=1))
    day = date.fromisoformat(text)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE))
    return midnight, None if day == date.max else midnight + timedelta(days=1)


@pytest.fixture
def rows(acme: Organization) -> list[dict[str, Any]]:
    """Forty tasks, and what Python knows of them."""
    hub = Hub.objects.create(organization=acme, name="Oslo")
    members = [Member.objects.create(organization=acme, name=name) for name in ("Zoë", "o")]
    known = []
    for number in range(40):
        attributes = ATTRIBUTES[number % 5]
        task = Task.objects.create(
            pk=number + 1,
            organization=acme,
            title=str(number),
            city=TEXTS[number % len(TEXTS)],
            recipient_phone=TEXTS[number % 3],
            hub=hub if number % 3 else None,
            latitude=[None, *NUMBERS][number % 5],
            due_at=[None, *TIMES][number % 4],
            due_on=[None, *DAYS][number % 6],
            attributes=attributes,
            created_at=NOW + timedelta(seconds=number),
        )
        some = members[: number % 3]
        TaskAssignee.objects.bulk_create([TaskAssignee(task=task, member=member, position=at) for at, member in enumerate(some)])
        known.append(
            {
                **{name: getattr(task, name) for name in ("id", "title", "city", "recipient_phone", "latitude", "due_at", "due_on")},
                "hub": task.hub and task.hub.name,
                "attributes.k": attributes.get("k"),
                "assignees": "; ".join(member.name for member in some) or None,
            }
        )
    return known


def test_random_trees_are_what_python_says(acme: Organization, rows: list[dict[str, Any]]) -> None:
    with sources.snapshot(Style(zone=ZONE)) as snapshot:

        @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(trees)
        def same(tree: dict[str, Any]) -> None:
            try:
                frozen = filters.checked(tree, TASKS, now=NOW, zone=ZONE)
            except Invalid:  # nested too deep
                return
            assert frozen == tree  # nothing relative, so nothing to pin
            query = sources.compile_query(spec_of("title", filter=frozen, timezone=ZONE), [acme.pk])
            lines = [line for block in snapshot.text_lines(query, Style(zone=ZONE)) for line in block]
            assert [int(line.split(b"\t")[1]) for line in lines] == [row["id"] for row in rows if holds(tree, row)]
            assert snapshot.count(query) == len(lines)
            assert filters.in_words(frozen, TASKS)

        same()


# -- Missing values, words, relative times -------------------------------------------------------------------------
def test_a_negative_condition_includes_what_is_missing(acme: Organization) -> None:
    hub = Hub.objects.create(organization=acme, name="North")
    for title, place in (("none", None), ("north", hub)):
        Task.objects.create(organization=acme, title=title, hub=place)
    assert found(acme, leaf("hub", "is_not", "North")) == ["none"]
    assert found(acme, leaf("hub", "not_in", ["South"])) == ["none", "north"]
    assert found(acme, leaf("hub", "does_not_contain", "ORT")) == ["none"]
    assert found(acme, {"not": leaf("hub", "is_not", "North")}) == ["north"]


RELATIVE: list[tuple[str, dict[str, Any], str, Any]] = [
    ("within_last", {"unit": "minute", "amount": 5}, "between", ["2024-03-31T11:55:00.000000Z", "2024-03-31T12:00:00.000000Z"]),
    (
        "within_last",
        {"unit": "day", "amount": 30},
        "between",
        ["2024-03-01T13:00:00.000000Z", "2024-03-31T12:00:00.000000Z"],
    ),
    ("within_next", {"unit": "month", "amount": 1}, "between", ["2024-03-31T12:00:00.000000Z", "2024-04-30T12:00:00.000000Z"]),
    ("within_last", {"unit": "month", "amount": 1}, "between", ["2024-02-29T13:00:00.000000Z", "2024-03-31T12:00:00.000000Z"]),
    ("more_than_ago", {"unit": "year", "amount": 1}, "before", "2023-03-31T12:00:00.000000Z"),
]


@pytest.mark.parametrize(("op", "value", "pinned_op", "pinned"), RELATIVE)
def test_relative_times_are_pinned_when_the_job_is_made(op: str, value: dict[str, Any], pinned_op: str, pinned: Any) -> None:
    assert filters.checked(leaf("due_at", op, value), TASKS, now=NOW, zone=ZONE) == leaf("due_at", pinned_op, pinned)
    assert filters.checked(leaf("due_at", op, value), TASKS, now=None, zone=ZONE) == leaf("due_at", op, value)


def test_a_time_that_the_database_gave_is_no_earlier_and_no_later_than_itself(acme: Organization) -> None:
    task = Task.objects.create(organization=acme, title="t")
    task.refresh_from_db()
    at = task.created_at.isoformat(timespec="microseconds")
    for op, value, expected in (
        *((op, at, ["t"]) for op in ("gte", "lte", "on")),
        *((op, at, []) for op in ("gt", "lt", "after", "before")),
        ("between", [at, at], ["t"]),
    ):
        assert found(acme, leaf("created_at", op, value)) == expected, op
    for tree in (leaf("created_at", "gte", "0001-01-01"), leaf("created_at", "lte", "9999-12-31")):
        assert found(acme, tree) == ["t"]
    assert found(acme, leaf("created_at", "before", "0001-01-01")) == []


def test_relative_days_are_the_zones_own() -> None:
    late = datetime(2024, 1, 1, 2, 0, tzinfo=UTC)  # 31 December in New York
    tree = leaf("due_on", "within_next", {"unit": "week", "amount": 1})
    assert filters.checked(tree, TASKS, now=late, zone=ZONE) == leaf("due_on", "between", ["2023-12-31", "2024-01-07"])


@pytest.mark.parametrize(
    ("op", "unit", "amount", "pinned"),
    [
        ("within_last", "minute", 30, ["2024-10-27T00:40:00.000000Z", "2024-10-27T01:10:00.000000Z"]),
        ("within_last", "hour", 1, ["2024-10-27T00:10:00.000000Z", "2024-10-27T01:10:00.000000Z"]),
        ("within_last", "day", 1, ["2024-10-26T00:10:00.000000Z", "2024-10-27T01:10:00.000000Z"]),
        ("more_than_ago", "minute", 30, "2024-10-27T00:40:00.000000Z"),
        ("within_next", "minute", 30, ["2024-10-27T01:10:00.000000Z", "2024-10-27T01:40:00.000000Z"]),
    ],
)
def test_relative_times_in_the_hour_that_comes_twice(op: str, unit: str, amount: int, pinned: Any) -> None:
    now = datetime(2024, 10, 27, 1, 10, tzinfo=UTC)  # in Amsterdam 02:10 for the second time
    tree = filters.checked(leaf("due_at", op, {"unit": unit, "amount": amount}), TASKS, now=now, zone="Europe/Amsterdam")
    assert tree["value"] == pinned


def test_a_job_keeps_its_filter_and_says_it_in_words(acme: Organization) -> None:
    values = {"org_name": "x", "name": "x", "type": "basic", **EVERYTHING}
    tree = {"all": [leaf("status", "is", "none"), {"any": [leaf("city", "is_empty"), {"not": leaf("attributes.a b", "in", ["x", "y"])}]}]}
    spec = specs.make({**values, "filter": tree, "sort": [{"column": "city", "direction": "desc"}, {"column": "id"}]}, now=NOW).spec
    assert spec.filter == tree
    assert specs.in_words(spec).endswith(
        ', where status is "none" and (city is empty or not ("attributes.a b" is one of "x", "y")), sorted by city descending, id'
    )
    again = specs.make({**values, "filter": leaf("due_at", "within_last", {"unit": "day", "amount": 1})}, now=NOW).spec
    assert again.filter == leaf("due_at", "between", ["2024-03-30T12:00:00.000000Z", "2024-03-31T12:00:00.000000Z"])


def test_a_filter_over_a_column_that_is_gone_never_exports_everything(acme: Organization) -> None:
    with pytest.raises(AppError, match="is gone"):
        sources.compile_query(spec_of("title", filter=leaf("gone", "is", "x")), [acme.pk])


# -- Order ---------------------------------------------------------------------------------------------------------
def test_a_sort_puts_missing_values_last_and_ends_in_the_id(acme: Organization) -> None:
    for number, (city, due) in enumerate([("b", 1), ("ä", None), ("B", 2), ("a", 2), ("b", 1)]):
        Task.objects.create(
            organization=acme, title=str(number), city=city, due_on=date(2024, 1, due) if due else None, created_at=NOW + timedelta(seconds=number)
        )
    for sort, order in (
        ([{"column": "city"}], "23041"),
        ([{"column": "city", "direction": "desc"}], "10432"),
        ([{"column": "due_on"}], "04231"),
        ([{"column": "due_on", "direction": "desc"}, {"column": "city"}], "23041"),
        ([{"column": "created_at", "direction": "desc"}], "43210"),
        ([], "01234"),
    ):
        spec = spec_of("title", sort=filters.checked_sort(sort, TASKS))
        assert "".join(row["title"] for row in read(acme, spec)) == order, sort


# -- Refusals ------------------------------------------------------------------------------------------------------
def deep(levels: int) -> dict[str, Any]:
    return leaf("id", "is", 1) if levels == 1 else {"not": deep(levels - 1)}


REFUSED: list[tuple[Any, str]] = [
    (None, "filter"),
    ([], "filter"),
    ({}, "filter"),
    ({"all": []}, "filter.all"),
    ({"all": {}}, "filter.all"),
    ({"all": [], "any": []}, "filter"),
    ({"all": [leaf("title", "is", "x"), leaf("title", "is", 5)]}, "filter.all[1].value"),
    ({"not": {"any": [{"column": "title"}]}}, "filter.not.any[0]"),
    ({**leaf("title", "is", "x"), "case": True}, "filter"),
    (leaf("nothing", "is", "x"), "filter.column"),
    (leaf("hub__name", "is", "x"), "filter.column"),
    (leaf("title", "regex", ".*"), "filter.op"),
    (leaf("title", "lt", "x"), "filter.op"),
    (leaf("id", "contains", 1), "filter.op"),
    (leaf("due_at", "is", "2024-01-01"), "filter.op"),
    (leaf("title", "is"), "filter.value"),
    (leaf("title", "is", ""), "filter.value"),
    (leaf("title", "is", None), "filter.value"),
    (leaf("title", "is", "a\0"), "filter.value"),
    (leaf("title", "is", "x" * 1001), "filter.value"),
    (leaf("title", "is_empty", True), "filter.value"),
    (leaf("title", "in", "x"), "filter.value"),
    (leaf("title", "in", []), "filter.value"),
    (leaf("title", "in", ["x"] * 1001), "filter.value"),
    (leaf("title", "in", ["x", 1]), "filter.value[1]"),
    (leaf("id", "is", True), "filter.value"),
    (leaf("id", "is", 1.0), "filter.value"),
    (leaf("id", "is", 2**63), "filter.value"),
    (leaf("id", "between", [2, 1]), "filter.value"),
    (leaf("id", "between", [1]), "filter.value"),
    (leaf("latitude", "lt", "NaN"), "filter.value"),
    (leaf("latitude", "lt", "1e500"), "filter.value"),
    (leaf("latitude", "lt", "1e9999999"), "filter.value"),
    (leaf("due_at", "on", "2024-02-30"), "filter.value"),
    (leaf("due_at", "after", "2024-01-01T00:00:00"), "filter.value"),
    (leaf("due_on", "on", "2024-01-01T00:00:00Z"), "filter.value"),
    (leaf("due_at", "between", ["2024-01-01", "soon"]), "filter.value[1]"),
    (leaf("due_at", "within_last", {"unit": "fortnight", "amount": 1}), "filter.value"),
    (leaf("due_at", "within_last", {"unit": ["day"], "amount": 1}), "filter.value"),
    (leaf("due_at", "within_last", {"unit": "day", "amount": 0}), "filter.value"),
    (leaf("due_at", "within_last", {"unit": "year", "amount": 9999}), "filter.value"),
    (deep(6), "filter.not.not.not.not.not"),
    ({"any": [{"all": [leaf("id", "is", 1)] * 51}] * 2}, "filter.any[1].all[49]"),
]


@pytest.mark.parametrize(("tree", "field"), REFUSED)
def test_a_refusal_names_its_path(tree: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        filters.checked(tree, TASKS, now=NOW, zone="UTC")
    assert [error.field for error in refused.value.fields] == [field]


def test_the_largest_filter_runs(acme: Organization) -> None:
    Task.objects.create(organization=acme, title="t", city="x")
    tree = {"all": [{"not": leaf("city", "in", [f"{number}-{each}" for each in range(1000 if number < 3 else 1)])} for number in range(100)]}
    assert found(acme, tree) == ["t"]
    assert found(acme, deep(5)) in ([], ["t"])


@pytest.mark.parametrize(
    ("sort", "field"),
    [
        ("id", "sort"),
        ([{"column": "id"}] * 4, "sort"),
        (["id"], "sort[0]"),
        ([{"column": "x"}], "sort[0].column"),
        ([{"column": "id", "direction": "up"}], "sort[0].direction"),
        ([{"column": "id", "direction": ["asc"]}], "sort[0].direction"),
    ],
)
def test_a_wrong_sort_is_refused(sort: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        filters.checked_sort(sort, TASKS)
    assert [error.field for error in refused.value.fields] == [field]
