"""The admin's screens of webhooks, destinations and the log of deliveries: for an organization's admins alone, and no secret twice."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exports.models import Delivery, DeliveryTry, Destination, Webhook
from exports.services.deliveries import destinations, webhooks
from tasks.models import Organization, User
from tests.making import make_job
from tests.scheduling import make_schedule

StaffClientOf = Callable[[User], Client]
HOOKS, PLACES, LOG = (f"/admin/exports/{model}/" for model in ("webhook", "destination", "delivery"))
NOT_ADMINS = ("editor", "viewer", "owner", "outsider")
KEY = "wJalrXUtnFEMI-secret"


def hook(admin: User, acme: Organization, name: str = "Secret hook") -> Webhook:
    return webhooks.create(admin, acme, {"name": name, "url": "https://erp.example.com/hook"})[0]


def place(admin: User, acme: Organization, name: str = "Secret bucket") -> Destination:
    return destinations.create(admin, acme, {"name": name, "bucket": "acme-exports", "access_key_id": "AKIA1", "secret_access_key": KEY})


def delivery(acme: Organization, state: str = "dead", **values: Any) -> Delivery:
    found = {"kind": "webhook", "event": "job.done", "message_id": str(uuid.uuid4()), "attempts": 3, "error": "answer 503"} | values
    return Delivery.objects.create(organization=acme, state=state, **found)


def kept() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Webhook, Destination, Delivery)]


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def page(row: Any, name: str = "change") -> str:
    return f"/admin/exports/{row._meta.model_name}/{row.pk}/{name}/"


# -- Who -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", NOT_ADMINS)
def test_only_an_admin_of_the_organization_sees_and_does_anything(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    rows = [hook(admin, acme), place(admin, acme)]
    rows.append(delivery(acme, webhook=rows[0], title="Secret delivery"))
    client, before = staff_client_of(request.getfixturevalue(role)), kept()
    for path in (HOOKS, PLACES, LOG, *(page(row, name) for row in rows for name in ("change", "edit", "remove"))):
        response = client.get(path, follow=True)
        assert "Secret" not in response.content.decode(), path
    for row in rows:
        for verb in ("test", "rotate", "enable", "disable", "remove", "edit", "redeliver"):
            assert client.post(page(row, verb), {"name": "Mine"}).status_code in {302, 403, 404}, verb
    client.post(
        f"{HOOKS}add/", {"organization": acme.pk, "name": "Mine", "url": "https://a.example.com", "events": ["job.done"], "nonce": uuid.uuid4()}
    )
    client.post(LOG, {"action": "redeliver", "_selected_action": [rows[2].pk]})
    assert kept() == before


# -- Webhooks ------------------------------------------------------------------------------------------------------
def test_a_webhook_s_secret_is_shown_once_and_rotated(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    assert "No webhooks yet." in client.get(HOOKS).content.decode()
    nonce = client.get(f"{HOOKS}add/").context["form"]["nonce"].value()
    asked = {"organization": acme.pk, "name": "ERP", "url": "https://erp.example.com/in", "events": ["job.failed"], "nonce": str(nonce)}
    response = client.post(f"{HOOKS}add/", asked)
    match = re.search(r"data-secret>(whsec_[\w+/=]+)<", response.content.decode())
    assert match
    assert "no-store" in response["Cache-Control"]
    webhook = Webhook.objects.get()
    assert (webhook.organization, webhook.events, webhook.created_by) == (acme, ["job.failed"], admin)
    again = client.post(f"{HOOKS}add/", asked, follow=True)
    assert "not shown again" in said(again)
    later = "".join(client.get(path).content.decode() for path in (HOOKS, page(webhook), page(webhook, "edit"))) + again.content.decode()
    assert match[1] not in later
    assert webhook.sealed_secret not in later
    pressed = {"nonce": str(client.get(page(webhook)).context["nonce"])}
    rotated = re.search(r"data-secret>(whsec_[\w+/=]+)<", client.post(page(webhook, "rotate"), pressed).content.decode())
    assert rotated
    assert rotated[1] != match[1]
    assert "signed with the one before" in client.get(page(webhook)).content.decode()
    # Loaded anew, that page makes no third one: the first would be known to nobody any more.
    before = kept()
    assert "not shown again" in said(client.post(page(webhook, "rotate"), pressed, follow=True))
    assert kept() == before
    assert Webhook.objects.count() == 1


def test_a_webhook_is_changed_switched_tested_and_deleted(admin: User, acme: Organization, staff_client_of: StaffClientOf, settings: Any) -> None:
    webhook, client = hook(admin, acme), staff_client_of(admin)
    client.post(page(webhook, "disable"))
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert 'data-verb="enable"' in client.get(page(webhook)).content.decode()
    client.post(page(webhook, "enable"))
    changed = client.post(page(webhook, "edit"), {"name": "ERP", "url": "https://other.example.com/", "events": ["job.done"]})
    assert changed["Location"] == page(webhook)
    webhook.refresh_from_db()
    assert (webhook.enabled, webhook.name, webhook.url) == (True, "ERP", "https://other.example.com/")
    Webhook.objects.update(url="http://127.0.0.1:9/", disabled_reason="It kept failing.", enabled=False)
    tested = client.post(page(webhook, "test"), follow=True)
    assert "The test did not arrive" in said(tested)
    assert "The service switched it off." in tested.content.decode()
    assert str(Delivery.objects.get().pk) in tested.content.decode()
    assert "press the button again" in said(client.get(page(webhook, "test"), follow=True))
    assert Delivery.objects.count() == 1
    assert "go with it" in client.get(page(webhook, "remove")).content.decode()
    client.post(page(webhook, "remove"))
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"), [({"url": "http://169.254.169.254/"}, "url"), ({"url": ""}, "url"), ({"events": []}, "events"), ({"name": "TAKEN"}, "name")]
)
def test_a_refused_webhook_says_where_and_keeps_what_was_typed(
    values: dict[str, Any], field: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    hook(admin, acme, "taken")
    asked = {
        "organization": acme.pk,
        "name": "ERP",
        "url": "https://erp.example.com/typed",
        "events": ["job.done"],
        "nonce": str(uuid.uuid4()),
    } | values
    response = staff_client_of(admin).post(f"{HOOKS}add/", asked)
    assert field in response.context["form"].errors
    assert f'value="{asked["name"]}"' in response.content.decode()
    assert Webhook.objects.count() == 1


# -- Destinations --------------------------------------------------------------------------------------------------
def test_a_destination_never_shows_its_secret_and_keeps_it_unless_a_new_one_is_typed(
    admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(admin)
    asked = {"organization": acme.pk, "nonce": str(uuid.uuid4()), "name": "Bucket", "bucket": "acme-exports", "prefix": "a/b", "region": "eu-west-1"}
    asked |= {"access_key_id": "AKIA1"}
    refused = client.post(f"{PLACES}add/", asked)
    assert "secret_access_key" in refused.context["form"].errors
    assert 'value="acme-exports"' in refused.content.decode()
    made = client.post(f"{PLACES}add/", asked | {"secret_access_key": KEY}, follow=True)
    destination = Destination.objects.get()
    shown = made.content.decode() + "".join(client.get(path).content.decode() for path in (PLACES, page(destination, "edit")))
    assert KEY not in shown
    assert destination.sealed_secret not in shown
    assert "Not tested" in shown
    typed = client.post(page(destination, "edit"), asked | {"bucket": "elsewhere", "secret_access_key": ""})
    assert "secret_access_key" in typed.context["form"].errors  # whoever sends the key elsewhere must know it
    assert KEY not in client.post(page(destination, "edit"), asked | {"bucket": "NO", "secret_access_key": KEY}).content.decode()
    client.post(page(destination, "edit"), asked | {"name": "Renamed"})
    before, destination = destination.sealed_secret, Destination.objects.get()
    assert (destination.name, destination.sealed_secret) == ("Renamed", before)


def test_a_destination_in_use_is_not_deleted(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    destination, schedule, client = place(admin, acme), make_schedule(admin, acme, name="Copies there"), staff_client_of(admin)
    type(schedule).objects.update(destination=destination)
    assert "Copies there" in client.get(page(destination)).content.decode()
    assert "Copies there" in said(client.post(page(destination, "remove"), follow=True))
    assert Destination.objects.exists()
    type(schedule).objects.update(destination=None)
    client.post(page(destination, "remove"))
    assert not Destination.objects.exists()


@pytest.mark.parametrize("make", [hook, place])
def test_a_form_of_a_row_that_somebody_changed_meanwhile_takes_its_place_only_if_sent_again(
    make: Callable[[User, Organization], Any], admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    row, client = make(admin, acme), staff_client_of(admin)
    mine = {one.html_name: one.value() for one in client.get(page(row, "edit")).context["form"] if one.value() is not None}
    client.post(page(row, "edit"), mine | {"name": "Theirs"})
    refused = client.post(page(row, "edit"), mine | {"name": "Mine"})
    assert "Somebody changed it meanwhile: it is at version 2 now." in refused.content.decode()
    row.refresh_from_db()
    assert (row.name, row.version) == ("Theirs", 2)
    shown = {one.html_name: one.value() for one in refused.context["form"] if one.value() is not None}
    assert shown["name"] == "Mine"
    client.post(page(row, "edit"), shown)
    row.refresh_from_db()
    assert (row.name, row.version) == ("Mine", 3)


# -- The log -------------------------------------------------------------------------------------------------------
def test_the_log_finds_dead_letters_and_sends_them_again(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    webhook, client = hook(admin, acme, "ERP"), staff_client_of(admin)
    job = make_job(admin, acme, "Nightly")
    dead = delivery(acme, webhook=webhook, job=job, body='{"type": "job.done", "name": "Ünïcode"}')
    sent = delivery(acme, "sent", kind="mail", to=admin, title="A notice", error="")
    DeliveryTry.objects.create(delivery=dead, seconds=1.5, status_code=503, error="answer 503")
    listed = client.get(LOG, {"state": "dead"}).content.decode()
    assert "Nightly" in listed
    assert "A notice" not in listed
    assert "A notice" in client.get(LOG, {"kind": "mail"}).content.decode()
    text = client.get(page(dead)).content.decode()
    for word in ("Given up", "answer 503", "1.5", "Ünïcode", 'data-verb="redeliver"', page(webhook), page(job)):
        assert word in text, word
    assert "data-verb" not in client.get(page(sent)).content.decode()
    client.post(page(dead, "redeliver"))
    dead.refresh_from_db()
    assert (dead.state, dead.attempts) == ("pending", 0)
    Delivery.objects.filter(pk=dead.pk).update(state="dead")
    both = client.post(LOG, {"action": "redeliver", "_selected_action": [str(dead.pk), str(sent.pk)]}, follow=True)
    assert "1 of 2" in said(both)
    assert "never sent again" in said(both)
    assert list(Delivery.objects.order_by("created_at").values_list("state", flat=True)) == ["pending", "sent"]
    Delivery.objects.filter(pk=dead.pk).update(state="dead")
    assert "press the button again" in said(client.get(page(dead, "redeliver"), follow=True))
    dead.refresh_from_db()
    assert dead.state == "dead"


def test_lists_and_pages_cost_the_same_however_many_rows_there_are(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client, counts = staff_client_of(admin), []
    for number in range(2):
        for each in range(1 + 3 * number):
            webhook, destination = hook(admin, acme, f"{number}.{each}"), place(admin, acme, f"{number}.{each}")
            job = make_job(admin, acme)
            row = delivery(acme, webhook=webhook, job=job)
            delivery(acme, kind="copy", destination=destination, job=job)
            delivery(acme, kind="mail", to=admin, job=job)
            DeliveryTry.objects.create(delivery=row, seconds=1)
        for path in (HOOKS, PLACES, LOG, page(webhook), page(destination), page(row)):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:6] == counts[6:]
    assert max(counts) < 16
