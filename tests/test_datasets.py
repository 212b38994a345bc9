"""Datasets: every declared column is read right, and one that is left out costs nothing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from exports import sources
from exports.cells import Form, Kind, Style
from exports.datasets import ATTRIBUTES, CONFIGS, DATASETS, Spec, builtin_columns
from exports.datasets.records import FIELDS
from tasks.models import Case, DataRecord, Member, Organization, Subject, Task, TaskAssignee, User
from tests import random_tasks
from tests.making import make_tasks

pytestmark = pytest.mark.django_db(transaction=True)


def spec_of(*keys: str, dataset: str = "tasks", **changes: Any) -> Spec:
    window = {"created_from": datetime(1, 1, 1, tzinfo=UTC), "created_before": None}
    return Spec(dataset=dataset, config="custom", columns=tuple({"key": key, "title": key} for key in keys), **{**window, **changes})


def read(organization: Organization, spec: Spec) -> list[dict[str, Any]]:
    """The rows as JSON gives them."""
    style = Style(zone=spec.timezone, guard=False, form=Form.JSON, date_format=spec.date_format)
    with sources.snapshot(style) as snapshot:
        query = sources.compile_query(spec, [organization.pk])
        blocks = snapshot.json_lines(query, style, spec.titles)
        rows = [json.loads(line) for block in blocks for line in block]
        assert snapshot.count(query) == len(rows)
    return rows


def sql(spec: Spec) -> str:
    return sources.compile_query(spec, [1]).sql


# -- Tasks ---------------------------------------------------------------------------------------------------------
def test_tasks_have_a_column_for_every_field() -> None:
    columns = DATASETS["tasks"].columns
    named = {"external_id": "reference"}
    for field in Task._meta.concrete_fields:
        if field.name not in {"organization", "attributes"}:
            assert named.get(field.name, field.name) in columns
    assert len({column.title for column in columns.values()}) == len(columns)


def test_assignees_are_joined_in_their_order(acme: Organization, editor: User) -> None:
    make_tasks(acme, 3)
    first, second, _ = Task.objects.order_by("pk")
    people = {name: Member.objects.create(organization=acme, name=name) for name in ("Zoë", "Ann", "Ben; or not")}
    for task, names in ((first, ["Zoë", "Ann", "Ben; or not"]), (second, ["Ann"])):
        for position, name in enumerate(names):
            TaskAssignee.objects.create(task=task, member=people[name], position=position)
    TaskAssignee.objects.create(task=first, member=Member.objects.get(user=editor), position=0)  # a later row of the same position
    assert [row["assignees"] for row in read(acme, spec_of("assignees"))] == ["Zoë; Editor; Ann; Ben; or not", "Ann", None]


def test_people_are_named(acme: Organization, editor: User) -> None:
    make_tasks(acme, 2)
    nameless = User.objects.create_user("nameless@example.com")
    first, second = Task.objects.order_by("pk")
    Task.objects.filter(pk=first.pk).update(created_by=editor, completed_by=Member.objects.get(user=editor))
    Task.objects.filter(pk=second.pk).update(created_by=nameless)
    assert read(acme, spec_of("created_by", "completed_by")) == [
        {"created_by": "Editor", "completed_by": "Editor"},
        {"created_by": "nameless@example.com", "completed_by": None},
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        ("Größe\n\x7f\u2028", "Größe\n\x7f\u2028"),
        (None, None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (10**20, "100000000000000000000"),
        (1.0, "1.0"),
        (-0.0, "0.0"),
        (1e16, "10000000000000000"),
        (1.5e-7, "0.00000015"),
        ([1, "a", None], '[1, "a", null]'),
        ({"bb": 1, "c": {"é": "é"}, "a": []}, '{"a": [], "c": {"é": "é"}, "bb": 1}'),
        ({"q": '"\\\n\x01'}, '{"q": "\\"\\\\\\n\\u0001"}'),
    ],
)
def test_an_attribute_is_text(acme: Organization, value: Any, text: str | None) -> None:
    Task.objects.create(organization=acme, title="t", attributes={"key": value, "other": 1})
    Task.objects.create(organization=acme, title="t", attributes={"other": 1})
    assert [row["attributes.key"] for row in read(acme, spec_of("attributes.key"))] == [text, None]


@pytest.mark.parametrize(
    "key", ["0", "12", "a.b", 'a"b', "a'b", "a\\b", "%s", "%%", "$", "[0]", "Größe", "😀", " ", "attributes.x", "{c}", "x" * 189]
)
def test_an_attributes_key_may_be_any_text(acme: Organization, key: str) -> None:
    Task.objects.create(organization=acme, title="t", attributes={key: "found", "decoy": "no"})
    column = DATASETS["tasks"].column(ATTRIBUTES + key)
    assert column
    assert (column.title, column.kind) == (key, Kind.TEXT)
    assert read(acme, replace(spec_of(ATTRIBUTES + key), columns=({"key": ATTRIBUTES + key, "title": "x"},))) == [{"x": "found"}]


def test_an_attribute_without_a_key_and_attributes_of_others_are_no_columns() -> None:
    assert DATASETS["tasks"].column("attributes.") is None
    assert DATASETS["tasks"].column("attributes." + "x" * 190) is None
    assert DATASETS["cases"].column("attributes.x") is None
    assert DATASETS["tasks"].column("title__length") is None


# -- What is left out costs nothing --------------------------------------------------------------------------------
def test_a_column_that_is_left_out_is_not_in_the_query() -> None:
    plain = sql(spec_of("id", "title", "created_at"))
    assert "JOIN" not in plain
    assert "taskassignee" not in plain
    assert "attributes" not in plain
    assert sql(spec_of(*DATASETS["tasks"].columns)).count("SELECT") == 3  # two are for the assignees


@pytest.mark.parametrize("config", list(CONFIGS))
def test_a_builtin_config_joins_only_the_names_it_shows(config: str) -> None:
    text = sql(replace(spec_of("id"), columns=tuple({"key": key, "title": title} for key, title in builtin_columns(config))))
    assert text.count("SELECT") == 1
    names = {"basic": {"tasks_member", "tasks_flow", "tasks_hub", "tasks_case", "tasks_subject"}, "fedex": {"tasks_caseservice"}}
    assert set(re.findall(r'JOIN "(\w+)"', text)) == names[config]
    assert text.endswith('ORDER BY "tasks_task"."created_at" ASC, "tasks_task"."id" ASC')


def plan(snapshot: Any, query: sources.Query) -> str:
    if connection.vendor == "postgresql":
        return "\n".join(row[0] for row in snapshot._connection.execute("EXPLAIN " + query.sql, query.params))
    return "\n".join(row[3] for row in snapshot._execute("EXPLAIN QUERY PLAN " + query.sql, query.params))


def test_names_of_assignees_are_put_together_once_or_for_a_few_rows_looked_up_by_index(acme: Organization) -> None:
    make_tasks(acme, 100)
    query = sources.compile_query(spec_of(*DATASETS["tasks"].columns, "attributes.color"), [acme.pk])
    with sources.snapshot(Style()) as snapshot:
        if connection.vendor == "postgresql":
            assert "SubPlan" not in plan(snapshot, query)
            assert "GroupAggregate" in plan(snapshot, query)
            snapshot._connection.execute("SET LOCAL enable_seqscan = off")  # type: ignore[attr-defined]
            few = plan(snapshot, sources.first(query, 5))
            assert re.search(r"SubPlan 1[\s\S]+Index Cond: \(task_id = tasks_task\.id\)", few), few
        else:
            every = plan(snapshot, query)
            assert re.search(r"SEARCH tasks_task USING INDEX task_export_order|SEARCH tasks_task USING INDEX \w+ \(organization_id", every), every
            assert "SEARCH a USING" in every
            assert "SCAN a" not in every


def test_names_of_assignees_are_read_wherever_they_are_asked_for(acme: Organization, globex: Organization) -> None:
    make_tasks(acme, 5)
    make_tasks(globex, 1)
    people = {name: Member.objects.create(organization=acme, name=name) for name in ("Ann", "Ben", "Cem")}
    tasks = list(Task.objects.filter(organization=acme).order_by("pk"))
    for task, names in zip(tasks, (["Ben", "Ann"], ["Cem"], [], ["Ann"], ["Ann", "Ben", "Cem"]), strict=True):
        for position, name in enumerate(names):
            TaskAssignee.objects.create(task=task, member=people[name], position=5 - position if task == tasks[4] else position)
    stranger = Member.objects.create(organization=globex, name="Ann of Globex")
    TaskAssignee.objects.create(task=Task.objects.get(organization=globex), member=stranger)
    ann = {"column": "assignees", "op": "contains", "value": "ann"}
    by_name = [{"column": "assignees", "direction": "desc"}]
    both = [{"text": "who: "}, {"column": "assignees"}]
    computed = ({"key": "assignees", "title": "assignees"}, {"title": "both", "compute": {"op": "concatenate", "parts": both}})
    for spec, expected in (
        (spec_of("assignees"), ["Ben; Ann", "Cem", None, "Ann", "Cem; Ben; Ann"]),
        (spec_of("assignees", filter=ann), ["Ben; Ann", "Ann", "Cem; Ben; Ann"]),
        (spec_of("assignees", filter={"not": ann}, sort=by_name), ["Cem", None]),
        (spec_of("assignees", sort=by_name), ["Cem; Ben; Ann", "Cem", "Ben; Ann", "Ann", None]),
        (spec_of("assignees", filter={"column": "assignees", "op": "is_empty"}), [None]),
    ):
        assert [row["assignees"] for row in read(acme, spec)] == expected
        rows = read(acme, replace(spec, columns=computed))
        assert [row["both"] for row in rows] == ["who: " + (names or "") for names in expected]
        only_filtered = replace(spec, columns=({"key": "title", "title": "title"},))
        assert len(read(acme, only_filtered)) == len(expected)
        with sources.snapshot(Style()) as snapshot:
            few = sources.first(sources.compile_query(spec, [acme.pk]), 2)
            lines = [line for block in snapshot.json_lines(few, Style(guard=False, form=Form.JSON), ["assignees"]) for line in block]
            assert [json.loads(line)["assignees"] for line in lines] == expected[:2]
            assert snapshot.count(few) == min(2, len(expected))


# -- The other datasets --------------------------------------------------------------------------------------------
def test_cases_and_subjects(acme: Organization, globex: Organization) -> None:
    case = Case.objects.create(organization=acme, name="Case")
    subject = Subject.objects.create(organization=acme, case=case, name="Subject")
    Case.objects.create(organization=globex, name="Not yours")
    assert read(acme, spec_of("id", "name", dataset="cases")) == [{"id": case.pk, "name": "Case"}]
    assert read(acme, spec_of("id", "name", "case", "case_id", dataset="subjects")) == [
        {"id": subject.pk, "name": "Subject", "case": "Case", "case_id": case.pk}
    ]


@pytest.mark.parametrize("index", list(FIELDS))
def test_records_declare_the_contracts_fields(acme: Organization, globex: Organization, index: str) -> None:
    data = {name: f"a {name}" for name in FIELDS[index]} | {"amount": 12.5, "price": "0.10", "date_time_redeemed": "2024-02-29T23:59:59.5Z"}
    at = datetime(2024, 1, 1, tzinfo=UTC)
    record = DataRecord.objects.create(organization=acme, index=index, external_id="r1", timestamp=at, data=data)
    DataRecord.objects.create(organization=globex, index=index, external_id="r1")
    other = next(name for name in FIELDS if name != index)
    DataRecord.objects.create(organization=acme, index=other, external_id="r1")
    (row,) = read(acme, spec_of("id", "external_id", *FIELDS[index], dataset=index))
    typed = {
        "timestamp": "2024-01-01T00:00:00Z",
        "created_date": "2024-01-01T00:00:00Z",
        "amount": 12.5,
        "price": 0.1,
        "date_time_redeemed": "2024-02-29T23:59:59.500000Z",
    }
    assert row == {"id": record.pk, "external_id": "r1", **{name: typed.get(name, f"a {name}") for name in FIELDS[index]}}


TIMES: list[tuple[Any, str | None]] = [
    ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
    ("2000-02-29T00:00:00.000000Z", "2000-02-29T00:00:00Z"),
    ("0001-01-01T00:00:00.120Z", "0001-01-01T00:00:00.120000Z"),
]
NO_TIMES: list[Any] = ["2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "", 5, None, []]
NO_TIMES += ["2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "٢٠٢٤-01-01T00:00:00Z", "soon"]
NO_TIMES += ["2024-01-01T00:00:00Z\n", "2024-01-01T00:00:00.1234567Z"]


@pytest.mark.parametrize(("text", "cell"), TIMES + [(text, None) for text in NO_TIMES])
def test_a_time_in_a_record_never_breaks_the_export(acme: Organization, text: Any, cell: str | None) -> None:
    DataRecord.objects.create(organization=acme, index="vouchers", external_id="r", data={"date_time_redeemed": text})
    assert read(acme, spec_of("date_time_redeemed", dataset="vouchers")) == [{"date_time_redeemed": cell}]


DECIMALS: list[tuple[Any, float | None]] = [("12.50", 12.5), (7, 7), (-0.0, 0), ("-0", 0), (1e-7, 0.0000001)]
NO_DECIMALS: list[Any] = ["1e5", "", " 1", "1,5", ".5", "NaN", "٣", True, None, {}]


@pytest.mark.parametrize(("value", "cell"), DECIMALS + [(value, None) for value in NO_DECIMALS])
def test_a_decimal_in_a_record_never_breaks_the_export(acme: Organization, value: Any, cell: float | None) -> None:
    DataRecord.objects.create(organization=acme, index="products", external_id="r", data={"price": value})
    assert read(acme, spec_of("price", dataset="products")) == [{"price": cell}]


def test_random_tasks_come_back_with_all_columns(acme: Organization) -> None:
    random_tasks.make(acme, 200, seed=3)
    random_tasks.add_columns(acme, seed=3)
    rows = read(acme, replace(spec_of("id"), columns=random_tasks.all_columns()))
    tasks = Task.objects.filter(organization=acme).select_related("calendar", "completed_by").order_by("created_at", "pk")
    for row, task in zip(rows, tasks, strict=True):
        assert (row["id"], row["body"], row["recipient_email"]) == (task.pk, task.body, task.recipient_email)
        assert row["completed_by"] == (task.completed_by.name if task.completed_by else None)
        names = [each.member.name for each in task.assignments.order_by("position", "pk").select_related("member")]
        assert row["assignees"] == ("; ".join(names) if names else None)
        for key in random_tasks.KEYS[1:2]:
            value = task.attributes.get(key)
            if value is None or isinstance(value, str):
                assert row[ATTRIBUTES + key] == value
