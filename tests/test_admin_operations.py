"""The admin's screens of operations: in plain words, hidden and deleted by those who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exports.models import ExportJob, Operation, Removal
from exports.services.schedules import firing
from tasks.models import Organization, User
from tests.making import make_job
from tests.scheduling import make_schedule

StaffClientOf = Callable[[User], Client]
LIST = "/admin/exports/operation/"


def page(operation: Operation, name: str = "change") -> str:
    return f"{LIST}{operation.pk}/{name}/"


def own(user: User, organization: Organization, **values: Any) -> Operation:
    found = {"handler": "CrmSync", "status": "half way", "request": '{"since": "Ünïcode"}', "own_response": "plain text"} | values
    return Operation.objects.create(organization=organization, user=user, **found)


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


@pytest.mark.parametrize("role", ["admin", "editor", "viewer", "owner"])
def test_whoever_reads_the_organization_reads_its_operations_in_plain_words(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = make_job(admin, acme, "Open tasks")
    firing.execute(admin, make_schedule(admin, acme, name="Nightly"))
    foreign = own(admin, acme)
    client = staff_client_of(request.getfixturevalue(role))
    text = client.get(LIST).content.decode()
    for word in ("Export: Open tasks", "Run of a schedule: Nightly", "CrmSync", "Waits", "half way"):
        assert word in text, word
    text = client.get(page(job.operation)).content.decode()
    assert f"/admin/exports/exportjob/{job.pk}/change/" in text
    text = client.get(page(foreign)).content.decode()
    for word in ("Ünïcode", "plain text", "An operation of another system"):
        assert word in text, word
    assert ('data-verb="remove"' in text) == (role == "admin")
    assert "CrmSync" not in client.get(LIST, {"status": "pending"}).content.decode()
    assert "CrmSync" not in client.get(LIST, {"handler": "ExportHandler"}).content.decode()


@pytest.mark.parametrize("role", ["editor", "viewer", "owner", "outsider"])
def test_what_is_hidden_is_refused_and_changes_nothing(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    operation = own(admin, acme, handler="Secret handler")
    client = staff_client_of(request.getfixturevalue(role))
    if role == "outsider":
        for path in (LIST, f"{LIST}?of={acme.pk}", page(operation), page(operation, "remove")):
            assert "Secret" not in client.get(path, follow=True).content.decode(), path
    before = Operation.objects.values().get()
    for verb in ("hide", "remove"):
        assert client.post(page(operation, verb), {"force": "yes"}, follow=True).status_code == 200
    assert client.post(page(operation)).status_code == 405
    assert Operation.objects.values().get() == before
    assert not Removal.objects.exists()


def test_an_editor_hides_and_deletes_their_own(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    mine, with_job = own(editor, acme), make_job(editor, acme, "Kept").operation
    client = staff_client_of(editor)
    client.post(page(mine, "hide"))
    assert "CrmSync" not in client.get(LIST).content.decode()
    assert "CrmSync" in client.get(LIST, {"history": "1"}).content.decode()
    assert "Nothing else goes with it." in client.get(page(mine, "remove")).content.decode()
    client.post(page(mine, "remove"))
    assert "Only an admin may delete" in client.get(page(with_job, "remove")).content.decode()
    refused = client.post(page(with_job, "remove"), {"force": "yes"}, follow=True)
    assert said(refused)
    assert Operation.objects.get() == with_job
    assert Removal.objects.get().actor == editor


def test_an_admin_is_told_what_goes_with_it(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    operation = make_job(editor, acme, "Goes too").operation
    client = staff_client_of(admin)
    text = client.get(page(operation, "remove")).content.decode()
    assert "Delete Export: Goes too?" in text
    assert "export Goes too" in text
    assert "Other things go with this task" in said(client.post(page(operation, "remove"), follow=True))
    assert ExportJob.objects.exists()
    client.post(page(operation, "remove"), {"force": "yes"})
    assert (ExportJob.objects.count(), Operation.objects.count(), Removal.objects.count()) == (0, 0, 1)


def test_list_and_page_cost_the_same_however_many_there_are(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    assert connection.features.supports_json_field  # found out once a process, by queries
    client, counts = staff_client_of(admin), []
    for number in (1, 5):
        for each in range(number):
            firing.execute(admin, make_schedule(admin, acme, name=f"{number}.{each}"))
        for path in (LIST, page(Operation.objects.filter(job__isnull=False).latest("created_at"))):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:2] == counts[2:]
