"""Webhooks: signed, tried again with the same id, given up, sent again by hand; a failure touches no job, and no endpoint keeps another waiting."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from rest_framework.test import APIClient

from exports import worker
from exports.models import Delivery, DeliveryTry, ExportJob, TickLease, Webhook
from exports.services import jobs, specs, upkeep
from exports.services.deliveries import hooks, outbox, sending, webhooks
from taskexport import seats
from taskexport.errors import Conflict, Forbidden, Invalid, NotFound
from tasks.models import Organization, User
from tests import delivering, making, smtp
from tests.delivering import Receiver, later, make_hook

pytestmark = pytest.mark.django_db(transaction=True)
ClientOf = Callable[[User], APIClient]
HOOKS = "/api/v1/webhooks"
GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "deliveries.md").read_text()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    with delivering.receiving() as server:
        yield server


def run(user: User, organization: Organization) -> ExportJob:
    """A job that has run."""
    job = jobs.create(user, organization, specs.make({"org_name": "x", "name": "Secret name", "type": "basic", **making.EVERYTHING}))
    jobs.start(user, job)
    worker.run_next()
    return ExportJob.objects.get(pk=job.pk)


def is_ours(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """The guide's own code."""
    known: dict[str, Any] = {}
    exec(GUIDE.split("```python\n")[1].split("```")[0], known)
    return bool(known["is_ours"](secret, {name.lower(): value for name, value in headers.items()}, body))


# -- What is sent ----------------------------------------------------------------------------------------------------
def test_a_done_job_is_told_signed_and_without_personal_data(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    making.make_tasks(acme, 3)
    hook, secret = make_hook(admin, acme, f"{receiver.url}/in?x=1")
    make_hook(admin, acme, receiver.url, events=["job.failed"])
    make_hook(admin, acme, receiver.url, enabled=False)
    job = run(editor, acme)
    assert (worker.deliver(), worker.deliver()) == (1, 0)
    ((path, headers, body),) = receiver.calls
    assert (path, headers["Content-Type"], headers["User-Agent"]) == ("/in?x=1", "application/json", "taskexport")
    said = json.loads(body)
    assert said["type"] == "job.done"
    assert datetime.fromisoformat(said["timestamp"]).tzinfo
    data = said["data"]
    shown = ("organization_id", "job_id", "status", "rows", "bytes", "sha256", "schedule_id", "trigger", "error_code")
    assert {name: data[name] for name in shown} == {
        "organization_id": str(acme.uuid), "job_id": str(job.pk), "status": "done", "rows": 3, "bytes": job.file.size, "sha256": job.file.sha256,
        "schedule_id": None, "trigger": "api", "error_code": None,
    }  # fmt: skip
    assert data["download_url"].endswith(f"/api/v1/export-jobs/{job.pk}/download")
    assert not any(word in body.decode() for word in ("Secret name", editor.email, editor.name, acme.name, "/d/"))
    assert is_ours(secret, headers, body)
    assert not is_ours(secret, headers, body + b" ")
    assert not is_ours(delivering.SECRET, headers, body)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.webhook, delivery.status_code, delivery.message_id) == ("sent", hook, 200, headers["webhook-id"])
    assert DeliveryTry.objects.get().error == ""


def test_the_signature_is_the_standards() -> None:
    # The example of the published specification's own libraries.
    body, sent_at = b'{"test": 2432232314}', 1614265330
    key = base64.b64decode(delivering.SECRET.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body, hashlib.sha256).digest()).decode()
    assert wanted == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert hooks.signature(delivering.SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, body) == f"v1,{wanted}"


def test_a_failed_job_is_told_with_its_code_and_not_its_words(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    make_hook(admin, acme, receiver.url)
    job = jobs.create(editor, acme, specs.make({"org_name": "x", "name": "n", "type": "basic", **making.EVERYTHING}))
    jobs.start(editor, job)
    editor.memberships.update(role="viewer")
    worker.run_next()
    assert worker.deliver() == 1
    said = json.loads(receiver.calls[0][2])
    assert (said["type"], said["data"]["status"], said["data"]["error_code"], said["data"]["download_url"]) == (
        "job.failed", "failed", "permission_lost", None,
    )  # fmt: skip


def test_a_new_secret_signs_beside_the_old_one_for_a_day(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    hook, old = make_hook(admin, acme, receiver.url)
    new = webhooks.rotate_secret(admin, hook)
    assert old not in str(Webhook.objects.values().get())
    assert new not in str(Webhook.objects.values().get())
    run(editor, acme)
    worker.deliver()
    _, headers, body = receiver.calls[-1]
    assert is_ours(old, headers, body)
    assert is_ours(new, headers, body)
    Webhook.objects.update(old_secret_until=datetime.now(UTC) - timedelta(seconds=1))
    run(editor, acme)
    worker.deliver()
    _, headers, body = receiver.calls[-1]
    assert not is_ours(old, headers, body)
    assert is_ours(new, headers, body)


# -- Failures --------------------------------------------------------------------------------------------------------
def test_a_failing_endpoint_is_tried_ten_times_with_one_id_then_given_up_and_sent_again_by_hand(
    receiver: Receiver, client_of: ClientOf, admin: User, editor: User, acme: Organization
) -> None:
    make_hook(admin, acme, receiver.url)
    job = run(editor, acme)
    receiver.status = 500
    waits = []
    for number in range(1, outbox.MOST_TRIES + 1):
        assert worker.deliver() == 0
        delivery = Delivery.objects.get()
        assert (delivery.attempts, delivery.error, delivery.status_code) == (number, "answered 500", 500)
        waits.append((delivery.next_at - datetime.now(UTC)).total_seconds())
        assert worker.deliver() == 0  # not before its time
        later()
    assert delivery.state == "dead"
    assert all(0.85 * wanted < got < 1.15 * wanted for wanted, got in zip(outbox.WAITS_SECONDS, waits, strict=False))
    assert 20 * 3600 < sum(outbox.WAITS_SECONDS) < 25 * 3600
    assert len({headers["webhook-id"] for _, headers, _ in receiver.calls}) == len({body for *_, body in receiver.calls}) == 1
    assert len(receiver.calls) == outbox.MOST_TRIES
    assert ExportJob.objects.get().status == job.status == "done"
    receiver.status = 200
    client = client_of(admin)
    again = client.post(f"/api/v1/deliveries/{delivery.pk}/redeliver").json()["delivery"]
    assert (again["state"], again["attempts"], len(again["tries"])) == ("pending", 0, outbox.MOST_TRIES)
    assert worker.deliver() == 1
    assert receiver.calls[-1][1]["webhook-id"] == delivery.message_id
    refused = client.post(f"/api/v1/deliveries/{delivery.pk}/redeliver")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "already_sent")
    assert worker.deliver() == 0
    shown = client.get(f"/api/v1/deliveries/{delivery.pk}").json()["delivery"]
    assert (shown["state"], len(shown["tries"]), shown["tries"][0]["status_code"]) == ("sent", outbox.MOST_TRIES + 1, 200)


def test_a_sender_that_died_half_way_sends_again_with_the_same_id(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    make_hook(admin, acme, receiver.url)
    run(editor, acme)
    claimed = outbox.claim(Q(pk=None))
    assert claimed
    hooks.send(claimed)  # and here it dies
    assert worker.deliver() == 0  # somebody may be at it
    later()
    assert worker.deliver() == 1
    assert len({headers["webhook-id"] for _, headers, _ in receiver.calls}) == 1
    assert len(receiver.calls) == 2
    # The first one was slow, not dead: what it says now changes nothing.
    outbox.record_failed(claimed, 1.0, outbox.Undelivered("too late"))
    assert Delivery.objects.get().state == "sent"


def test_what_was_recorded_as_sent_is_sent_by_nobody_else(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    make_hook(admin, acme, receiver.url)
    run(editor, acme)
    slow = outbox.claim(Q(pk=None))
    later()
    second = outbox.claim(Q(pk=None))
    assert slow
    assert second
    outbox.record_sent(slow, 1.0, 200)
    outbox.record_failed(second, 1.0, outbox.Undelivered("timeout"))
    later()
    assert (Delivery.objects.get().state, worker.deliver()) == ("sent", 0)


def test_redirects_private_addresses_and_refused_connections_are_failures_that_reach_nothing(
    receiver: Receiver, admin: User, editor: User, acme: Organization, settings: Any
) -> None:
    receiver.status, receiver.headers = 302, {"Location": f"{receiver.url}/inside"}
    redirecting, _ = make_hook(admin, acme, receiver.url)
    private, _ = make_hook(admin, acme, "https://example.com/")
    Webhook.objects.filter(pk=private.pk).update(url="https://10.0.0.1/")
    closed, _ = make_hook(admin, acme, "http://127.0.0.1:9/")
    run(editor, acme)
    assert worker.deliver() == 0
    assert dict(Delivery.objects.values_list("webhook", "error")) == {
        redirecting.pk: "a redirect, which is not followed",
        private.pk: "The address is not a public one.",
        closed.pk: "the connection was refused",
    }
    assert [path for path, *_ in receiver.calls] == ["/"]
    settings.OUTBOUND_ALLOWED_NETS = []
    later()
    assert worker.deliver() == 0
    assert set(Delivery.objects.filter(webhook__in=[redirecting, closed]).values_list("error", flat=True)) == {"The address is not a public one."}
    assert len(receiver.calls) == 1
    assert set(Delivery.objects.values_list("state", flat=True)) == {"pending"}
    assert ExportJob.objects.get().status == "done"


def test_a_hanging_endpoint_keeps_no_other_waiting(
    receiver: Receiver, admin: User, editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    with delivering.receiving() as hanging:
        hanging.hangs = 60
        stuck, _ = make_hook(admin, acme, hanging.url)
        make_hook(admin, acme, receiver.url)
        for _ in range(6):
            run(editor, acme)
        # Those that hang are the oldest.
        Delivery.objects.filter(webhook=stuck).update(next_at=datetime.now(UTC) - timedelta(hours=1))
        monkeypatch.setattr("taskexport.outbound.post.__defaults__", (1.5,))
        started = time.monotonic()
        assert worker.deliver() == 6
        assert time.monotonic() - started < 8
    assert len(receiver.calls) == 6
    assert len(hanging.calls) == sending.AT_ONCE[Delivery.objects.first().kind]  # type: ignore[index]
    assert set(Delivery.objects.filter(webhook=stuck, attempts=1).values_list("error", flat=True)) == {"no answer in time"}
    assert Delivery.objects.filter(webhook=stuck, attempts=0, state="pending").count() == 4  # it rests until the next round


def test_gone_switches_it_off_and_its_admins_are_told(receiver: Receiver, admin: User, editor: User, acme: Organization, settings: Any) -> None:
    hook, _ = make_hook(admin, acme, receiver.url)
    run(editor, acme)
    run(editor, acme)
    receiver.status = 410
    with smtp.running() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", server.port, False
        worker.deliver()
        later()
        worker.deliver()
    hook.refresh_from_db()
    assert (hook.enabled, hook.disabled_reason) == (False, "Its receiver answered 410: it is gone for good.")
    assert set(Delivery.objects.filter(webhook=hook).values_list("state", flat=True)) == {"dead"}
    (mail,) = server.mails
    assert (mail["To"], mail["Subject"]) == (admin.email, f"Webhook switched off: {hook.name}")
    assert "410" in mail.get_body(["plain"]).get_content()
    run(editor, acme)
    assert Delivery.objects.filter(webhook=hook).count() == 2  # it is told no more
    assert webhooks.update(admin, hook, {"enabled": True}).disabled_reason == ""


def test_an_endpoint_that_took_nothing_for_days_is_switched_off(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    hook, _ = make_hook(admin, acme, receiver.url)
    run(editor, acme)
    receiver.status = 500
    worker.deliver()
    hook.refresh_from_db()
    assert hook.failing_since
    Webhook.objects.update(failing_since=datetime.now(UTC) - timedelta(days=6))
    later()
    worker.deliver()
    assert Webhook.objects.get().enabled  # while it is still being tried
    Delivery.objects.update(attempts=outbox.MOST_TRIES - 1)
    later()
    worker.deliver()
    assert not Webhook.objects.get().enabled
    webhooks.update(admin, webhooks.get(admin, hook.pk), {"enabled": True})
    assert Webhook.objects.get().failing_since is None
    receiver.status = 200
    Webhook.objects.update(failing_since=datetime.now(UTC))
    run(editor, acme)
    assert worker.deliver() == 1
    assert Webhook.objects.get().failing_since is None


def test_retry_after_makes_a_wait_longer(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    make_hook(admin, acme, receiver.url)
    run(editor, acme)
    receiver.status, receiver.headers = 429, {"Retry-After": "1800"}
    worker.deliver()
    assert 1750 < (Delivery.objects.get().next_at - datetime.now(UTC)).total_seconds() < 1850


def test_what_is_deleted_while_it_is_sent_stays_deleted(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    hook, _ = make_hook(admin, acme, receiver.url)
    run(editor, acme)
    claimed, tested = outbox.claim(Q(pk=None)), outbox.write_test(hook)
    assert claimed
    webhooks.delete(admin, hook)
    outbox.record_sent(claimed, 1.0, 200)
    outbox.record_failed(claimed, 1.0, outbox.Undelivered("timeout"))
    with pytest.raises(NotFound):
        sending.try_now(tested)
    assert not DeliveryTry.objects.exists()


def test_one_that_is_deleted_in_the_very_moment_breaks_no_end_of_a_job(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    hook, _ = make_hook(admin, acme, receiver.url)
    threads: list[threading.Thread] = []

    def delete() -> None:
        try:
            webhooks.delete(admin, hook)
        finally:
            connection.close()

    def meddle(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not threads and sql.startswith("INSERT") and Delivery._meta.db_table in sql:  # the webhook has been read by now
            threads.append(threading.Thread(target=delete))
            threads[0].start()
            threads[0].join(1)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(meddle):
        job = run(editor, acme)
    assert threads
    threads[0].join(20)
    assert (job.status, Webhook.objects.count(), Delivery.objects.count()) == ("done", 0, 0)


# -- By the clusters -------------------------------------------------------------------------------------------------
def test_one_worker_delivers_at_a_time_and_the_tick_rings_for_what_is_due(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    assert upkeep.tick("here")["deliveries_rung"] == 0
    make_hook(admin, acme, receiver.url)
    run(editor, acme)
    assert upkeep.tick("here")["deliveries_rung"] == 1
    TickLease.objects.create(name="deliveries", holder="another", until_at=datetime.now(UTC) + timedelta(seconds=30))
    assert upkeep.tick("here")["deliveries_rung"] == 0
    assert worker.deliver() == 0
    TickLease.objects.filter(name="deliveries").update(until_at=datetime.now(UTC) - timedelta(seconds=1))
    assert worker.deliver() == 1


def test_nothing_is_told_of_an_end_that_was_rolled_back(receiver: Receiver, admin: User, editor: User, acme: Organization) -> None:
    make_hook(admin, acme, receiver.url)
    job = jobs.create(editor, acme, specs.make({"org_name": "x", "name": "n", "type": "basic", **making.EVERYTHING}))
    jobs.start(editor, job)
    claim = jobs.claim("here")
    assert claim
    with pytest.raises(AttributeError):
        jobs.publish(claim, None)  # type: ignore[arg-type]
    assert not Delivery.objects.exists()


# -- Keeping them ----------------------------------------------------------------------------------------------------
def test_a_webhook_over_rest(receiver: Receiver, client_of: ClientOf, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    wish = {"name": "ERP", "url": f"{receiver.url}/hook"}
    made = client.post(HOOKS, wish, headers={"Idempotency-Key": "one"})
    hook, secret = made.json()["webhook"], made.json()["secret"]
    assert (made.status_code, hook["events"], hook["enabled"], made["Location"]) == (
        201, ["job.done", "job.failed"], True, f"http://testserver{HOOKS}/{hook['id']}",
    )  # fmt: skip
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    replayed = client.post(HOOKS, wish, headers={"Idempotency-Key": "one"})
    assert (replayed.json()["webhook"]["id"], replayed.json()["secret"]) == (hook["id"], "")
    taken = client.post(HOOKS, wish | {"name": "erp"})
    assert (taken.status_code, taken.json()["error_code"]) == (409, "name_taken")
    path = f"{HOOKS}/{hook['id']}"
    read = client.get(path)
    assert secret not in read.content.decode()
    assert client.get(path, headers={"If-None-Match": read["ETag"]}).status_code == 304
    changed = client.patch(path, {"events": ["job.cancelled"]}, headers={"If-Match": read["ETag"]})
    assert (changed.status_code, changed.json()["webhook"]["version"]) == (200, 2)
    assert client.patch(path, {"enabled": False}, headers={"If-Match": read["ETag"]}).status_code == 412
    tested = client.post(f"{path}/test").json()["delivery"]
    assert (tested["state"], tested["event"], tested["status_code"]) == ("sent", "webhook.test", 200)
    assert is_ours(secret, *receiver.calls[-1][1:])
    receiver.status = 404
    failed = client.post(f"{path}/test").json()["delivery"]
    assert (failed["state"], failed["error"]) == ("dead", "answered 404")
    assert client.post(f"{path}/rotate-secret").json()["secret"] != secret
    listed = client.get("/api/v1/deliveries", {"kind": "webhook", "state": "dead", "webhook": hook["id"]}).json()
    assert ([one["id"] for one in listed["deliveries"]], listed["meta"]["total"]) == ([failed["id"]], 1)
    assert client.get("/api/v1/deliveries", {"job": "x"}).status_code == client.get("/api/v1/deliveries", {"state": "x"}).status_code == 400
    assert [one["name"] for one in client.get(HOOKS).json()["webhooks"]] == ["ERP"]
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert not Delivery.objects.exists()


def test_wrong_webhooks_are_400_with_their_fields(client_of: ClientOf, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    good = {"name": "n", "url": "https://example.com/"}
    for change, field in (
        ({"name": " "}, "name"),
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url"),
        ({"url": "https://a:b@example.com/"}, "url"),
        ({"url": "https://example.com:22/"}, "url"),
        ({"events": []}, "events"),
        ({"events": ["webhook.test"]}, "events.0"),
        ({"enabled": "yes"}, "enabled"),
        ({"secret": "mine"}, "secret"),
    ):
        refused = client.post(HOOKS, good | change)
        assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, field), change
    assert not Webhook.objects.exists()


def test_only_admins_keep_webhooks(admin: User, editor: User, acme: Organization, django_assert_num_queries: Any) -> None:
    with pytest.raises(Forbidden):
        make_hook(editor, acme, "https://example.com/")
    hook, _ = make_hook(admin, acme, "https://example.com/")
    for call in (webhooks.rotate_secret, webhooks.test, webhooks.delete):
        with pytest.raises(Forbidden):
            call(editor, hook)
    with pytest.raises(Invalid):
        webhooks.update(admin, hook, {"url": "https://10.0.0.1/"})
    with pytest.raises(Conflict):
        webhooks.update(admin, hook, {"name": "x"}, version=7)
    assert Webhook.objects.get().version == 1
    assert not webhooks.visible(editor).exists()


def test_tests_keep_no_more_than_some_threads(client_of: ClientOf, receiver: Receiver, admin: User, acme: Organization) -> None:
    hook, _ = make_hook(admin, acme, receiver.url)
    with ExitStack() as others:
        for _ in range(seats.MOST):
            assert others.enter_context(seats.taken())
        refused = client_of(admin).post(f"{HOOKS}/{hook.pk}/test")
        assert (refused.status_code, refused.json()["error_code"], refused["Retry-After"]) == (429, "too_many_tests", "5")
        assert not receiver.calls
        assert not Delivery.objects.exists()
    for _ in range(seats.MOST + 1):
        assert client_of(admin).post(f"{HOOKS}/{hook.pk}/test").status_code == 200


def test_lists_ask_as_often_however_long_they_are(
    client_of: ClientOf, admin: User, acme: Organization, editor: User, django_assert_num_queries: Any
) -> None:
    client = client_of(admin)
    for _ in range(2):
        make_hook(admin, acme, "https://example.com/")
        run(editor, acme)
        for path in (HOOKS, "/api/v1/deliveries"):
            with django_assert_num_queries({HOOKS: 5, "/api/v1/deliveries": 6}[path]):
                client.get(path)
