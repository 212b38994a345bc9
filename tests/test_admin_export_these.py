"""Export these: what the list of tasks holds becomes the choices of a new export, for whoever may export it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from exports import filters
from exports.datasets import DATASETS
from exports.expressions import teach_connection
from exports.models import Segment
from exports.services import segments, specs
from tasks.models import Organization, Task, TaskStatus, User

StaffClientOf = Callable[[User], Client]
LIST, EXPORT, NEW = "/admin/tasks/task/", "/admin/tasks/task/export/", "/admin/exports/exportjob/add/"


@pytest.fixture
def tasks(acme: Organization) -> list[Task]:
    """Three complete ones and two that are not."""
    titles = {"Read the meter": "A-1", "Replace the meter": "A-2", "Visit": "B-1", "Visit again": "B-2", "Meter lost": "C-1"}
    made = [
        Task(organization=acme, title=title, external_id=reference, status=TaskStatus.COMPLETE if number < 3 else TaskStatus.NONE)
        for number, (title, reference) in enumerate(titles.items())
    ]
    return Task.objects.bulk_create(made)


def handed(client: Client, response: Any) -> dict[str, Any]:
    """The choices that the new export's page begins with."""
    assert response["Location"].startswith(f"{NEW}?draft="), response["Location"]
    drafts: dict[str, Any] = client.session["drafts"]
    return dict(drafts[response["Location"].partition("=")[2]])


def rows_of(choices: dict[str, Any], user: User) -> set[str]:
    """The titles that an export of these choices holds, by the very conditions of an export."""
    wish = specs.make(
        {"org_name": "x", "name": choices["name"], "type": "custom", "dataset": choices["dataset"], **specs.EVER}
        | {key: choices[key] for key in ("filter", "sort") if key in choices},
        segment=segments.definition(segments.get(user, choices["segment_id"])) if "segment_id" in choices else None,
        now=datetime.now(UTC),
    )
    rows = Task.objects.filter(organization=choices["organization"])
    teach_connection()
    if wish.spec.filter:
        rows = rows.filter(filters.condition(wish.spec.filter, DATASETS["tasks"], "UTC"))
    return set(rows.values_list("title", flat=True))


def listed(client: Client, **query: str) -> set[str]:
    return {task.title for task in client.get(LIST, query).context["cl"].result_list}


def segment_of(organization: Organization, name: str, value: str) -> Segment:
    rules = [{"field_name": "title", "field_type": "text", "operator": "contains", "value": value}]
    return Segment.objects.create(organization=organization, name=name, dataset="tasks", join="all", rules=rules)


def test_the_list_s_filter_search_and_order_come_along(editor: User, acme: Organization, tasks: list[Task], staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    segment = segment_of(acme, "Meters", "METER")
    assert "data-export-these" in client.get(LIST).content.decode()
    titles = [name for name in client.get(LIST).context["cl"].list_display]
    by_due_then_title = f"-{titles.index('due_day')}.{titles.index('title')}"
    for query in (
        {},
        {"status__exact": "complete"},
        {"q": "meter"},
        {"q": "B-"},
        {"status__exact": "complete", "q": "visit"},
        {"segment": str(segment.pk)},
        {"segment": str(segment.pk), "status__exact": "complete", "o": by_due_then_title},
    ):
        choices = handed(client, client.get(EXPORT, query))
        assert rows_of(choices, editor) == listed(client, **query), query
        assert (choices["organization"], choices["dataset"], choices["window"]) == (acme.pk, "tasks", "all")
    assert choices["sort"] == [{"column": "due_on", "direction": "desc"}, {"column": "title", "direction": "asc"}]
    assert choices["segment_id"] == segment.pk
    assert handed(client, client.get(EXPORT))["sort"] == [{"column": "created_at", "direction": "desc"}]
    assert handed(client, client.get(EXPORT, {"q": "meter", "status__exact": "complete"}))["name"] == "Tasks: complete, “meter”"
    # What only an address can ask for becomes the rows themselves.
    choices = handed(client, client.get(EXPORT, {"external_id": "B-1"}))
    assert choices["filter"] == {"column": "id", "op": "in", "value": [tasks[2].pk]}


def test_ticked_rows_are_exported_alone_and_all_of_them_by_the_filter(
    editor: User, acme: Organization, tasks: list[Task], staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(editor)
    ticked = {"action": "export", "_selected_action": [str(tasks[0].pk), str(tasks[3].pk)]}
    choices = handed(client, client.post(LIST, ticked))
    assert rows_of(choices, editor) == {"Read the meter", "Visit again"}
    assert choices["name"] == "2 chosen tasks"
    everything = handed(client, client.post(f"{LIST}?status__exact=complete", ticked | {"select_across": "1"}))
    assert everything["filter"] == {"column": "status", "op": "is", "value": "complete"}


def test_tasks_of_several_organizations_are_refused_in_words(
    acme: Organization, globex: Organization, tasks: list[Task], staff_client_of: StaffClientOf
) -> None:
    boss = User.objects.create_superuser("boss@example.com")
    other = Task.objects.create(organization=globex, title="Elsewhere")
    client = staff_client_of(boss)
    said = client.get(EXPORT, {"status__exact": "complete"}, follow=True)
    assert said.redirect_chain[0][0] == f"{LIST}?status__exact=complete"
    assert "Choose an organization first" in said.content.decode()
    refused = client.post(LIST, {"action": "export", "_selected_action": [str(tasks[0].pk), str(other.pk)]}, follow=True)
    assert "of several organizations" in refused.content.decode()
    assert "drafts" not in client.session
    assert handed(client, client.get(EXPORT, {"of": str(globex.pk)}))["organization"] == globex.pk
    assert "Choose an organization first" in client.get(EXPORT, {"of": "999"}, follow=True).content.decode()


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_who_only_looks_is_offered_no_export_and_refused_one(
    request: pytest.FixtureRequest, role: str, tasks: list[Task], staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(request.getfixturevalue(role))
    text = client.get(LIST).content.decode()
    assert "data-export-these" not in text
    assert "Export selected" not in text
    assert client.get(EXPORT).status_code == 403
    client.post(LIST, {"action": "export", "_selected_action": [str(tasks[0].pk)]})
    assert "drafts" not in client.session


def test_another_organization_s_segment_gives_nothing(outsider: User, acme: Organization, tasks: list[Task], staff_client_of: StaffClientOf) -> None:
    segment = segment_of(acme, "Secret segment", "meter")
    client = staff_client_of(outsider)
    assert "Secret segment" not in client.get(LIST).content.decode()
    assert listed(client, segment=str(segment.pk)) == set()
    assert "no such segment" in client.get(EXPORT, {"segment": str(segment.pk)}, follow=True).content.decode()
    assert listed(client, segment="nonsense") == set()


def test_a_segment_that_names_what_is_gone_filters_everything_out(editor: User, acme: Organization, tasks: list[Task], staff_client_of: Any) -> None:
    rules = [{"field_name": "gone", "field_type": "text", "operator": "is", "value": "x"}]
    segment = Segment.objects.create(organization=acme, name="Old", dataset="tasks", join="all", rules=rules)
    assert listed(staff_client_of(editor), segment=str(segment.pk)) == set()
