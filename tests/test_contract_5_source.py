"""Contract 5 as its source tells it: each field, word and sentence, by the calls it names. The source has no example of a body."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from exports import worker
from exports.models import ExportSchedule
from tasks import access
from tasks.models import Organization, Role, User
from tests.api import content
from tests.scheduling import DAY, HOUR, past

TASKS = "/api/services/tasks"
RECORDS = "/api/services/records"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NAMES = {
    "transactions": "Transaction_Export",
    "users": "User_Export",
    "vouchers": "Voucher_Export",
    "wallet-ledger": "Wallet_Export",
    "products": "Product_Export",
    "product-variants": "Product_Variant_Export",
}
pytestmark = pytest.mark.django_db


def body(once: str | None = None, repeat: str | None = None, index: str = "transactions", form: str = "csv", **trigger: Any) -> dict[str, Any]:
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat(timespec="seconds")
    when: dict[str, Any] = {"once": once or soon, **trigger}
    if repeat is not None:
        when["repeat"] = repeat
    return {"desc": "Nightly", "trigger": when, "target": {"action": "export", "export_index": index, "export_format": form}}


def run_now() -> None:
    """What the workers and the tick do within a minute."""
    worker.tick()
    for _ in range(5):
        worker.run_next()
    worker.tick()


@pytest.mark.django_db(transaction=True)
def test_the_typical_workflow(client_of: Any, admin: User, editor: User, acme: Organization) -> None:
    client = client_of(admin)
    records = [{"external_id": f"T-{n}", "timestamp": "2024-01-31T12:00:00Z", "amount": n, "currency": "EUR"} for n in range(3)]
    assert client_of(editor).put(f"{RECORDS}/transactions", {"records": records}).status_code == 200
    # 1. Create a task: POST /tasks with export details and a trigger time.
    wanted = body()
    made = client.post(TASKS, wanted)
    assert made.status_code == 201
    task = made.json()
    path = f"{TASKS}/{task['id']}"
    assert made["Location"] == f"http://testserver{path}"
    assert (task["desc"], task["target"], task["chain"]) == ("Nightly", wanted["target"] | {"changes_only": False}, acme.pk)
    # READY: created, waiting for its scheduled time.
    assert task["state"]["code"] == "READY"
    assert client.get(f"{path}/download_url").status_code == 409
    # 2. Poll status: GET /tasks/{id} until DONE or ERROR.
    past(ExportSchedule.objects.get(), HOUR)
    worker.tick()
    assert client.get(path).json()["state"]["code"] == "READY"  # in the queue
    ExportSchedule.objects.get().firings.get().job.attempts.all()
    worker.run_next()
    done = client.get(path).json()
    assert done["state"]["code"] == "DONE"
    assert done["result"] == f"Transaction_Export-{task['id']}.csv"
    # Log entries.
    assert [line["msg"] for line in done["logs"]] == ["success", "READY -> INPROGRESS"]
    assert {key: done["logs"][0][key] for key in ("total", "errors", "skips", "success")} == {"total": 3, "errors": 0, "skips": 0, "success": 3}
    assert set(done["logs"][1]) == {"msg", "time"}
    assert all(ISO.fullmatch(line["time"]) for line in done["logs"])
    # 3. Download: a temporary signed URL, which needs no header.
    url = client.get(f"{path}/download_url").json()
    assert set(url) == {"url"}
    file = Client().get(url["url"].removeprefix("http://testserver"))
    assert "Transaction_Export-" in file["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(content(file).decode())))  # plain: no zip around it
    assert [(row["external_id"], row["amount"], row["currency"]) for row in rows] == [(f"T-{n}", str(n), "EUR") for n in range(3)]
    # Types of every field of the object.
    kinds: dict[str, type] = {"id": int, "chain": int, "desc": str, "debug": str, "version": int, "result": str, "logs": list}
    assert all(type(done[name]) is kind for name, kind in kinds.items())
    assert all(ISO.fullmatch(done["state"][name]) for name in ("last_run_date", "last_modified", "created_date"))
    assert set(done) == {*kinds, "state", "trigger", "target", "delivery", "base"}  # the last two are ours


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_each_index_in_each_format(client_of: Any, admin: User, acme: Organization, form: str) -> None:
    client = client_of(admin)
    ids = {}
    for index in NAMES:
        client.put(f"{RECORDS}/{index}", {"records": [{"external_id": f"{index}-1"}]})
        ids[index] = client.post(TASKS, body("2019-08-24T14:15:22Z", index=index, form=form)).json()["id"]
    run_now()
    worker.run_next()
    for index, name in NAMES.items():
        task = client.get(f"{TASKS}/{ids[index]}").json()
        assert (task["state"]["code"], task["result"]) == ("DONE", f"{name}-{ids[index]}.{form}"), index
        url = client.get(f"{TASKS}/{ids[index]}/download_url").json()["url"]
        text = content(Client().get(url.removeprefix("http://testserver"))).decode()
        found = json.loads(text) if form == "json" else list(csv.DictReader(io.StringIO(text)))
        assert [row["external_id"] for row in found] == [f"{index}-1"]


@pytest.mark.django_db(transaction=True)
def test_a_failed_task_is_error_and_its_log_says_why(client_of: Any, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    task = client.post(TASKS, body("2019-08-24T14:15:22Z")).json()
    worker.tick()
    job = ExportSchedule.objects.get().firings.get().job
    type(job).objects.filter(pk=job.pk).update(spec={**job.spec, "spec_version": 99})
    worker.run_next()
    worker.tick()
    failed = client.get(f"{TASKS}/{task['id']}").json()
    assert failed["state"]["code"] == "ERROR"
    assert failed["logs"][0]["msg"].startswith("error: This job was made by another release")
    assert (failed["logs"][0]["errors"], failed["result"]) == (1, "")


@pytest.mark.django_db(transaction=True)
def test_execute_without_waiting_for_the_time(client_of: Any, admin: User, acme: Organization, settings: Any) -> None:
    settings.EXECUTE_WAIT_SECONDS = 0
    client = client_of(admin)
    client.put(f"{RECORDS}/users", {"records": [{"external_id": "1"}]})
    for repeat, after in (("", "DONE"), ("daily", "READY")):
        task = client.post(TASKS, body("2040-01-01T02:30:00Z", repeat, index="users")).json()
        answer = client.post(f"{TASKS}/{task['id']}/execute")
        assert (answer.status_code, answer.json()["code"]) == (200, "READY")  # queued: no worker in this test
        worker.run_next()
        read = client.get(f"{TASKS}/{task['id']}").json()
        assert (read["state"]["code"], read["state"]["last_outcome"], read["trigger"]["once"]) == (after, "done", "2040-01-01T02:30:00Z")
        assert read["result"] == f"User_Export-{task['id']}.csv"


@pytest.mark.parametrize("repeat", ["daily", "weekly", "monthly"])
def test_a_repeating_task_reschedules_itself(client_of: Any, admin: User, acme: Organization, repeat: str) -> None:
    client = client_of(admin)
    once = (datetime.now(UTC) + HOUR).replace(microsecond=0)
    task = client.post(TASKS, body(once.isoformat(), repeat)).json()
    assert task["trigger"]["repeat"] == repeat
    past(ExportSchedule.objects.get(), HOUR, life=0 * DAY)
    worker.tick()
    following = datetime.fromisoformat(client.get(f"{TASKS}/{task['id']}").json()["trigger"]["once"])
    due = once - HOUR
    if repeat == "monthly":
        assert (following.month, f"{following:%H:%M:%S}") == (due.month % 12 + 1, f"{due:%H:%M:%S}")
    else:
        assert following == due + (DAY if repeat == "daily" else 7 * DAY)


def test_omitted_or_empty_repeat_runs_once_only(client_of: Any, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    for wanted in (body("2019-08-24T14:15:22Z"), body("2019-08-24T14:15:22Z", "")):
        task = client.post(TASKS, wanted).json()
        assert (task["trigger"]["repeat"], task["trigger"]["once"]) == ("", "2019-08-24T14:15:22Z")
    assert worker.tick()["fired"] == 2
    assert worker.tick()["fired"] == 0
    assert client.get(f"{TASKS}/{task['id']}").json()["trigger"]["once"] == "2019-08-24T14:15:22Z"


def test_segment_or_segment_id_or_neither(client_of: Any, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    rule = {"field_name": "currency", "field_type": "keyword", "operator": "is", "value": "EUR"}
    definition = {"entity": "transaction", "index": "transactions", "join": "all", "chain_id": acme.pk, "rules": [rule]}
    saved = client.post("/api/services/segments", {"name": "Euros", **definition}).json()
    neither, inline = client.post(TASKS, body()).json(), client.post(TASKS, body(segment=definition)).json()
    by_id = client.post(TASKS, body(segment_id=str(saved["id"]))).json()
    assert (neither["trigger"]["segment"], neither["trigger"]["segment_id"]) == (None, None)
    assert (inline["trigger"]["segment"], inline["trigger"]["segment_id"]) == (definition, None)
    assert (by_id["trigger"]["segment"], by_id["trigger"]["segment_id"]) == (None, str(saved["id"]))
    both = client.post(TASKS, body(segment=definition, segment_id=str(saved["id"])))
    assert both.status_code == 400
    assert [error["field"] for error in both.json()["field_errors"]] == ["trigger.segment", "trigger.segment_id"]
    assert ExportSchedule.objects.count() == 3


def test_every_endpoint_of_the_table(client_of: Any, admin: User, acme: Organization, settings: Any) -> None:
    settings.EXECUTE_WAIT_SECONDS = 0
    client = client_of(admin)
    task = client.post(TASKS, body()).json()
    path = f"{TASKS}/{task['id']}"
    assert client.get(TASKS).json() == [task]
    assert client.get(path).json() == task
    assert client.put(path, body("2040-01-01T00:00:00Z")).json()["version"] == task["version"] + 1
    assert client.get(f"{path}/download_url").status_code == 409
    assert client.post(f"{path}/execute").status_code == 200
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_privileged_and_admin_authentication(admin: User, viewer: User, acme: Organization) -> None:
    _, secret = access.create_access_token(acme, name="ERP", role=Role.ADMIN)
    _, weak = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    call: Any = {"content_type": "application/json", "data": json.dumps(body())}
    assert Client().post(TASKS, **call).status_code == 401
    assert Client().post(TASKS, **call, headers={"Authorization": f"Bearer {weak}"}).status_code == 403
    made = Client().post(TASKS, **call, headers={"Authorization": f"Bearer {secret}"})
    assert (made.status_code, made.json()["chain"]) == (201, acme.pk)
    assert ExportSchedule.objects.count() == 1
