"""Scheduled tasks over REST: what is ours in them, what is refused, the log, versions, one at a time."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from exports import worker
from exports.models import ChangeBase, ExportFile, ExportJob, ExportSchedule, Firing, Litter, ScheduleEvent
from exports.services import configs, jobs, segments
from exports.services.schedules import firing, keeping, settling
from taskexport import seats
from tasks.models import Member, Organization, Role, User
from tests.api import make_job
from tests.making import at_once
from tests.scheduling import DAY, HOUR, end_jobs, make_schedule, now, past
from tests.test_contract_5_source import TASKS, body

pytestmark = pytest.mark.django_db
RULE = {"field_name": "currency", "field_type": "keyword", "operator": "is", "value": "EUR"}


@pytest.fixture
def client(client_of: Any, admin: User, acme: Organization) -> Any:
    """The admin's."""
    return client_of(admin)


def make(client: Any, *given: Any, **changes: Any) -> tuple[str, dict[str, Any]]:
    """A task's path and the task."""
    response = client.post(TASKS, body(*given, **changes))
    assert response.status_code == 201, response.json()
    return f"{TASKS}/{response.json()['id']}", response.json()


# -- Times ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("once", "zone", "shown"),
    [
        ("2040-07-01T02:30:00Z", None, "2040-07-01T02:30:00Z"),
        ("2040-07-01T02:30:00", None, "2040-07-01T00:30:00Z"),  # the organization's zone
        ("2040-07-01T02:30", "Asia/Kathmandu", "2040-06-30T20:45:00Z"),
        ("2040-07-01 02:30:00.250+02:00", None, "2040-07-01T00:30:00.250000Z"),
        ("2040-07-01", "America/New_York", "2040-07-01T04:00:00Z"),
        ("2040-07-01t02:30:00z", None, "2040-07-01T02:30:00Z"),
        ("2040-07-01T02:30:00-0500", None, "2040-07-01T07:30:00Z"),
        ("2030-03-31T02:30:00", "Europe/Amsterdam", "2030-03-31T01:00:00Z"),  # a time that the clocks jump over
    ],
)
def test_once_is_iso_8601_in_the_tasks_zone(client: Any, acme: Organization, once: str, zone: str | None, shown: str) -> None:
    Organization.objects.filter(pk=acme.pk).update(timezone="Europe/Amsterdam")
    _, task = make(client, once, **({"timezone": zone} if zone else {}))
    assert (task["trigger"]["once"], task["trigger"]["timezone"]) == (shown, zone or "Europe/Amsterdam")


def test_cron_missed_and_overlap_are_ours(client: Any, acme: Organization) -> None:
    wanted = body(repeat="", cron="30 2 * * 1-5", timezone="Europe/Amsterdam", missed="all", overlap="queue")
    wanted["trigger"].pop("once")
    task = client.post(TASKS, wanted).json()
    given = {key: task["trigger"][key] for key in ("cron", "repeat", "timezone", "missed", "overlap")}
    assert given == {"cron": "30 2 * * 1-5", "repeat": "", "timezone": "Europe/Amsterdam", "missed": "all", "overlap": "queue"}
    following = datetime.fromisoformat(task["trigger"]["once"])
    assert now() < following < now() + 4 * DAY
    later = client.post(TASKS, body("2040-01-01T00:00:00Z", cron="0 * * * *")).json()
    assert later["trigger"]["once"] == "2040-01-01T00:00:00Z"
    for form in ("xlsx", "ndjson"):
        assert client.post(TASKS, body(index="tasks", form=form)).status_code == 201


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("trigger", "once"), "tomorrow", "trigger.once"),
        (("trigger", "once"), "2040-02-30T00:00:00Z", "trigger.once"),
        (("trigger", "once"), "1969-01-01T00:00:00Z", "trigger.once"),
        (("trigger", "once"), "9999-12-31T23:59:59Z", "trigger.once"),
        (("trigger", "once"), 5, "trigger.once"),
        (("trigger", "once"), None, "trigger.once"),
        (("trigger", "repeat"), "hourly", "trigger.repeat"),
        (("trigger", "cron"), "61 * * * *", "trigger.cron"),
        (("trigger", "timezone"), "Mars/Olympus", "trigger.timezone"),
        (("trigger", "missed"), "some", "trigger.missed"),
        (("trigger", "overlap"), "both", "trigger.overlap"),
        (("trigger", "segment"), {"rules": [{**RULE, "value": 5}]}, "trigger.segment.rules[0].value"),
        (("trigger", "segment"), {"rules": [RULE], "index": "users"}, "trigger.segment.index"),
        (("trigger", "segment"), {"rules": [RULE], "chain_id": 10**9}, "trigger.segment.chain_id"),
        (("trigger", "segment"), {"rules": [RULE], "colour": 1}, "trigger.segment.colour"),
        (("trigger", "segment_id"), [1], "trigger.segment_id"),
        (("trigger", "colour"), 1, "trigger.colour"),
        (("trigger",), None, "trigger"),
        (("target", "action"), "import", "target.action"),
        (("target", "export_index"), "cases", "target.export_index"),
        (("target", "export_format"), "papyrus", "target.export_format"),
        (("target",), {}, "target.action"),
        (("desc",), "x" * 2001, "desc"),
        (("desc",), 5, "desc"),
        (("colour",), 1, "colour"),
        (("id",), 1, "id"),
        (("chain",), "1", "chain"),
    ],
)
def test_wrong_input_is_400_with_its_path(client: Any, path: tuple[str, ...], value: Any, field: str) -> None:
    wanted = body()
    inner = wanted if len(path) == 1 else wanted[path[0]]
    inner[path[-1]] = value
    response = client.post(TASKS, wanted)
    assert response.status_code == 400, response.json()
    said = response.json()
    assert (said["result"], said["error"]["code"]) == ({"code": 2, "status": "error"}, 400)
    fields = {error["field"] for error in said["field_errors"]}
    assert fields & {field, field.rpartition(".")[2]}, said
    assert not ExportSchedule.objects.exists()


def test_without_once_and_with_repeat_and_cron_it_is_400(client: Any) -> None:
    wanted = body()
    wanted["trigger"].pop("once")
    for trigger in (wanted["trigger"], body(repeat="daily", cron="0 * * * *")["trigger"]):
        assert client.post(TASKS, {**wanted, "trigger": trigger}).status_code == 400
    assert client.post(TASKS, body(segment_id="77")).status_code == 404
    assert not ExportSchedule.objects.exists()


def test_which_chain(client_of: Any, admin: User, outsider: User, owner: User, acme: Organization, globex: Organization) -> None:
    Member.objects.create(organization=globex, user=admin, role=Role.ADMIN, name="x")
    client = client_of(admin)
    assert client.post(TASKS, body()).json()["field_errors"][0]["code"] == "organization_required"
    assert client.post(TASKS, {**body(), "chain": globex.pk}).json()["chain"] == globex.pk
    assert client.post(TASKS, body(), headers={"X-Organization": str(acme.uuid)}).json()["chain"] == acme.pk
    assert client.post(TASKS, {**body(), "chain": 10**12}).status_code == 404
    assert [len(client.get(f"{TASKS}{query}").json()) for query in ("", f"?chain={acme.pk}", f"?chain={globex.pk}")] == [2, 1, 1]
    assert len(client_of(owner).get(TASKS).json()) == 2
    assert [task["chain"] for task in client_of(outsider).get(TASKS).json()] == [globex.pk]
    assert client_of(outsider).get(TASKS, {"chain": acme.pk}).status_code == 404


def test_an_idempotency_key_makes_one_task(client: Any) -> None:
    wanted = body("2040-01-01T00:00:00Z")
    first, again = (client.post(TASKS, wanted, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == again.json()
    assert client.post(TASKS, body("2041-01-01T00:00:00Z"), headers={"Idempotency-Key": "k"}).status_code == 422
    assert ExportSchedule.objects.count() == 1


# -- The list ------------------------------------------------------------------------------------------------------
def test_the_list_filters_by_state_and_pages(client: Any, django_assert_num_queries: Any) -> None:
    paths = [make(client, "2019-08-24T14:15:22Z") for _ in range(5)]
    make(client, "2040-01-01T00:00:00Z", "daily")
    firing.fire_due()
    schedules = list(ExportSchedule.objects.order_by("pk"))
    for schedule, status in zip(schedules, ("done", "failed", "in progress", "cancelled", "queued"), strict=False):
        ExportJob.objects.filter(firings__schedule=schedule).update(status=status)
    ids = [task["id"] for _, task in paths]
    wanted = {"DONE": ids[:1], "ERROR": [ids[1], ids[3]], "INPROGRESS": [ids[2]], "READY": [ids[4], schedules[5].pk]}
    for when in ("before", "after"):
        for code, expected in wanted.items():
            found = client.get(TASKS, {"status": code}).json()
            assert [task["id"] for task in found] == expected, (when, code)
            assert {task["state"]["code"] for task in found} == {code}
        settling.settle()
    assert [task["id"] for task in client.get(TASKS, {"limit": 2, "offset": 3}).json()] == ids[3:5]
    assert len(client.get(TASKS, {"action": "export"}).json()) == 6
    for wrong in ({"status": "ready"}, {"action": "import"}, {"limit": 501}, {"limit": 0}, {"offset": -1}, {"state": "READY"}, {"chain": "x"}):
        assert client.get(TASKS, wrong).status_code in {400, 404}, wrong
    with django_assert_num_queries(5):
        client.get(TASKS, {"limit": 1})
    with django_assert_num_queries(5):
        client.get(TASKS)


# -- The log -------------------------------------------------------------------------------------------------------
def test_the_log_is_newest_first_and_pages(client: Any) -> None:
    path, _ = make(client, (now() + HOUR).isoformat(), "daily", missed="all")
    schedule = ExportSchedule.objects.get()
    past(schedule, HOUR + 11 * DAY)
    assert firing.fire_due() == 12
    ExportJob.objects.update(started_at=now())
    end_jobs(schedule, "failed", "disk full")
    settling.settle()
    lines = client.get(path, {"log_limit": 500}).json()["logs"]
    assert [line["msg"] for line in lines] == ["error: disk full", "READY -> INPROGRESS"] * 12
    assert len(client.get(path).json()["logs"]) == 10
    assert client.get(path, {"log_limit": 3, "offset": 4}).json()["logs"] == lines[4:7]
    assert client.get(path, {"log_limit": 3, "offset": 30}).json()["logs"] == []
    # Runs that never began tell one line each, so that a page takes more of them.
    ExportJob.objects.filter(pk__in=schedule.firings.values("job")[:5]).update(started_at=None)
    lines = client.get(path, {"log_limit": 500}).json()["logs"]
    assert [line["msg"] for line in lines] == ["error: disk full"] * 5 + ["error: disk full", "READY -> INPROGRESS"] * 7
    for limit, offset in ((7, 0), (6, 2), (9, 3), (5, 14)):
        assert client.get(path, {"log_limit": limit, "offset": offset}).json()["logs"] == lines[offset : offset + limit]
    for wrong in ({"log_limit": 0}, {"log_limit": 501}, {"offset": 10_001}, {"logs": 1}):
        assert client.get(path, wrong).status_code == 400
    state = client.get(path).json()["state"]
    assert (state["code"], state["last_outcome"]) == ("ERROR", "failed")
    assert state["paused"].startswith("5 runs in a row have failed")
    # Saying it anew lets it run again.
    read = client.get(path).json()
    resumed = client.put(path, read).json()
    assert (resumed["state"]["code"], resumed["state"]["paused"], resumed["version"]) == ("READY", None, read["version"] + 1)
    assert datetime.fromisoformat(resumed["trigger"]["once"]) > now()


def test_skipped_missed_and_broken_runs_are_in_the_log(client: Any) -> None:
    path, _ = make(client, (now() + HOUR).isoformat(), "daily")
    schedule = ExportSchedule.objects.get()
    past(schedule, HOUR + DAY)
    firing.fire_due()
    past(schedule, DAY)
    firing.fire_due()
    said = [line["msg"].partition(" (")[0] for line in client.get(path).json()["logs"]]
    assert said == ["skipped: the run before was still going on", "READY: queued", "missed: nothing ran at that time"]
    assert client.get(path).json()["state"]["last_outcome"] == "skipped"


# -- Changing ------------------------------------------------------------------------------------------------------
def test_what_was_read_may_be_sent_back(client: Any) -> None:
    path, _ = make(client, "2031-01-31T09:00:00Z", "monthly", segment={"join": "any", "rules": [RULE]})
    ExportSchedule.objects.update(next_run_at=datetime(2031, 2, 28, 9, tzinfo=UTC))
    read = client.get(path)
    assert read.json()["trigger"]["once"] == "2031-02-28T09:00:00Z"
    changed = client.put(path, {**read.json(), "desc": "Renamed"}, headers={"If-Match": read["ETag"]})
    assert changed.status_code == 200, changed.json()
    wanted = {**read.json(), "desc": "Renamed", "version": 2}
    wanted["state"] = {**wanted["state"], "last_modified": changed.json()["state"]["last_modified"]}
    assert changed.json() == wanted
    assert [run.local.day for run in keeping.next_runs(ExportSchedule.objects.get(), 3)] == [28, 31, 30]
    stale = client.put(path, read.json(), headers={"If-Match": read["ETag"]})
    assert (stale.status_code, stale.json()["error_code"]) == (412, "stale_etag")
    assert client.put(path, {**read.json(), "more": 1}).status_code == 400
    # A task that has had its run does not run again for a new description.
    once, _ = make(client, "2019-08-24T14:15:22Z")
    firing.fire_due()
    end_jobs(ExportSchedule.objects.order_by("pk")[1])
    settling.settle()
    done = client.put(once, {**client.get(once).json(), "desc": "Renamed"}).json()
    assert done["state"]["code"] == "DONE"
    assert firing.fire_due() == 0
    # A new time lets it.
    again = client.put(once, {**done, "trigger": {"once": "2020-01-01T00:00:00Z"}}).json()
    assert again["state"]["code"] == "READY"
    assert firing.fire_due() == 1


def test_what_was_read_before_a_run_or_is_sent_again_runs_nothing_twice(client: Any) -> None:
    path, _ = make(client, "2031-01-31T09:00:00Z", "monthly")
    february, march = datetime(2031, 2, 28, 9, tzinfo=UTC), datetime(2031, 3, 31, 9, tzinfo=UTC)
    ExportSchedule.objects.update(next_run_at=february)
    read = client.get(path).json()
    Firing.objects.create(schedule=ExportSchedule.objects.get(), intended_at=february, outcome="done")
    ExportSchedule.objects.update(next_run_at=march)
    changed = client.put(path, {**read, "desc": "Renamed"}).json()
    assert (changed["desc"], changed["trigger"]["once"]) == ("Renamed", "2031-03-31T09:00:00Z")
    assert [run.local.day for run in keeping.next_runs(ExportSchedule.objects.get(), 3)] == [31, 30, 31]
    # Moved, and moved back: that is another time.
    moved = client.put(path, {**read, "trigger": {**read["trigger"], "once": "2031-03-15T09:00:00Z"}}).json()
    assert moved["trigger"]["once"] == "2031-03-15T09:00:00Z"
    assert client.put(path, read).json()["trigger"]["once"] == "2031-02-28T09:00:00Z"
    # The wish that made it, sent again after its first run.
    path, _ = make(client, "2019-08-24T14:15:22Z", "daily")
    assert firing.fire_due() == 1
    for _ in range(2):
        assert datetime.fromisoformat(client.put(path, body("2019-08-24T14:15:22Z", "daily")).json()["trigger"]["once"]) > now()
    assert firing.fire_due() == 0
    # A time that the clock shows twice, the second one.
    wanted = body("2030-10-27T01:30:00Z", timezone="Europe/Amsterdam")
    path, task = make(client, "2030-10-27T01:30:00Z", timezone="Europe/Amsterdam")
    second = datetime(2030, 10, 27, 1, 30, tzinfo=UTC)
    Firing.objects.create(schedule_id=task["id"], intended_at=second, outcome="done")
    ExportSchedule.objects.filter(pk=task["id"]).update(next_run_at=None)
    for wish in (client.get(path).json(), wanted):
        done = client.put(path, wish).json()
        assert (done["trigger"]["once"], done["state"]["code"]) == ("2030-10-27T01:30:00Z", "DONE")


def test_what_runs_once_and_was_paused_at_its_time_runs_when_it_goes_on(client: Any) -> None:
    path, _ = make(client, (now() + HOUR).isoformat())
    client.post(f"{path}/pause")
    ExportSchedule.objects.update(next_run_at=now() - HOUR)
    assert firing.fire_due() == 0
    assert client.post(f"{path}/resume").json()["state"]["code"] == "READY"
    assert firing.fire_due() == 1
    end_jobs(ExportSchedule.objects.get())
    settling.settle()
    # Once is once, however often it is paused.
    for go_on in (lambda: client.post(f"{path}/resume"), lambda: client.put(path, client.get(path).json())):
        client.post(f"{path}/pause")
        assert go_on().json()["state"]["code"] == "DONE"
        assert firing.fire_due() == 0


def test_what_other_doors_have_set_stays(client: Any, admin: User, acme: Organization) -> None:
    config = configs.create(admin, acme, {"name": "short", "columns": ["external_id"], "dataset": "users"})
    values = {"kind": "daily", "timezone": "UTC", "dataset": "users", "config": config, "window": "yesterday", "skip_when_empty": True}
    schedule = keeping.create(admin, acme, "x", now() + DAY, values)
    path = f"{TASKS}/{schedule.pk}"
    assert client.put(path, client.get(path).json()).status_code == 200
    schedule.refresh_from_db()
    assert (schedule.config, schedule.window, schedule.skip_when_empty) == (config, "yesterday", True)
    moved = client.put(path, {**client.get(path).json(), "target": {"action": "export", "export_index": "products", "export_format": "json"}})
    assert moved.status_code == 200
    schedule.refresh_from_db()
    assert (schedule.config, schedule.dataset, schedule.options) == (None, "products", {})


def test_nothing_changes_while_it_runs(client: Any) -> None:
    path, _ = make(client, "2019-08-24T14:15:22Z", "daily")
    firing.fire_due()
    assert client.post(f"{path}/execute").status_code == 409  # queued is running too
    assert client.put(path, body(repeat="weekly")).status_code == 200
    ExportJob.objects.update(status="in progress")
    before = (list(ExportSchedule.objects.values()), list(Firing.objects.values()))
    assert client.get(path).json()["state"]["code"] == "INPROGRESS"
    for response in (client.put(path, body()), client.delete(path), client.post(f"{path}/execute")):
        assert (response.status_code, response.json()["error_code"]) == (409, "in_progress")
    assert before == (list(ExportSchedule.objects.values()), list(Firing.objects.values()))
    end_jobs(ExportSchedule.objects.get())
    assert client.delete(path).status_code == 204
    assert ExportJob.objects.count() == 1  # it stays


# -- Now, and the file ---------------------------------------------------------------------------------------------
@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_execute_waits_for_the_end(client_of: Any, admin: User, acme: Organization, settings: Any) -> None:
    settings.EXECUTE_WAIT_SECONDS = 20
    client = client_of(admin)
    path, task = make(client, "2040-01-01T02:30:00Z", "daily")
    ended = threading.Event()

    def work() -> None:
        try:
            while not ended.is_set() and not ExportJob.objects.filter(status="queued").exists():
                ended.wait(0.05)
            worker.run_next()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        answer = client.post(f"{path}/execute")
    finally:
        ended.set()
        thread.join(20)
    state = answer.json()
    assert (answer.status_code, state["code"], state["last_outcome"]) == (200, "READY", "done")
    assert state["last_run_date"]
    read = client.get(path).json()
    assert read["state"] == state
    assert read["trigger"]["once"] == "2040-01-01T02:30:00Z"
    assert read["debug"] == f"job {ExportJob.objects.get().pk}"
    assert client.post(f"{path}/execute", {"wait": 5}).status_code == 400
    url = client.get(f"{path}/download_url")
    assert url.status_code == 200
    ExportFile.objects.update(expires_at=now() - DAY)
    gone = client.get(f"{path}/download_url")
    assert (gone.status_code, gone.json()["error"]["name"]) == (410, "file_expired")
    assert client.get(path).json()["result"] == f"Transaction_Export-{task['id']}.csv"


def test_a_link_is_for_whoever_asked(client_of: Any, client: Any, admin: User, viewer: User, acme: Organization) -> None:
    path, _ = make(client)
    job = make_job(acme, admin, "done")
    Firing.objects.create(schedule=ExportSchedule.objects.get(), intended_at=now(), job=job, outcome="done")
    mine, theirs = (client_of(user).get(f"{path}/download_url").json()["url"] for user in (admin, viewer))
    assert mine != theirs
    assert client_of(viewer).get(path).json()["result"] == f"{job.pk}-task-export.csv.zip"


def test_execute_answers_at_once_while_enough_others_wait(client: Any, settings: Any) -> None:
    settings.EXECUTE_WAIT_SECONDS = 60
    path, _ = make(client, "2040-01-01T02:30:00Z", "daily")
    with ExitStack() as others:
        for _ in range(seats.MOST):
            assert others.enter_context(seats.taken())
        began = time.monotonic()
        assert client.post(f"{path}/execute").status_code == 200
    assert time.monotonic() - began < 30
    assert ExportJob.objects.get().status == "queued"


def test_an_editor_runs_but_does_not_change(client_of: Any, client: Any, editor: User, viewer: User, settings: Any) -> None:
    settings.EXECUTE_WAIT_SECONDS = 0
    path, task = make(client)
    before = list(ExportSchedule.objects.values())
    for user, status in ((viewer, 403), (editor, 200)):
        assert client_of(user).put(path, task).status_code == 403
        assert client_of(user).delete(path).status_code == 403
        assert client_of(user).post(TASKS, body()).status_code == 403
        assert client_of(user).post(f"{path}/execute").status_code == status
    assert list(ExportSchedule.objects.values()) == before
    assert ExportJob.objects.get().created_by == editor
    assert ExportJob.objects.get().trigger == "schedule"


@pytest.mark.parametrize("name", ["0", "x", "1.5", "9" * 30, "-1", "٣"])
def test_an_id_that_is_none_is_404(client: Any, name: str) -> None:
    for call in (client.get, client.delete, client.put):
        assert call(f"{TASKS}/{name}", *([] if call is not client.put else [body()])).status_code == 404
    assert client.get(f"{TASKS}/{name}/download_url").status_code == 404


def test_a_saved_segment_is_taken_as_it_is_at_the_run(client: Any, admin: User, acme: Organization) -> None:
    segment = segments.create(admin, acme, "Euros", {"index": "transactions", "rules": [RULE]})
    make(client, "2019-08-24T14:15:22Z", segment_id=segment.pk)
    segments.update(admin, segment, "Dollars", {"index": "transactions", "rules": [{**RULE, "value": "USD"}]})
    firing.fire_due()
    assert ExportJob.objects.get().spec["filter"] == {"all": [{"column": "currency", "op": "is", "value": "USD"}]}
    assert jobs.get(admin, ExportJob.objects.get().pk).trigger == "schedule"


def test_a_segment_in_use_stays_of_its_data(client: Any, admin: User, acme: Organization) -> None:
    segment = segments.create(admin, acme, "Euros", {"index": "transactions", "rules": [RULE]})
    make(client, segment_id=segment.pk)
    path = f"/api/services/segments/{segment.pk}"
    moved = client.put(path, {"name": "x", "index": "users", "rules": [{**RULE, "field_name": "country"}]})
    assert (moved.status_code, moved.json()["field_errors"][0]["field"]) == (400, "index")
    assert (client.delete(path).status_code, client.delete(path).json()["error_code"]) == (409, "in_use")
    assert client.get(path).json()["version"] == 1


def test_an_admin_takes_over_by_saving(client: Any, admin: User, acme: Organization) -> None:
    gone = User.objects.create_user("gone@example.com", name="Gone")
    member = Member.objects.create(organization=acme, user=gone, role=Role.ADMIN, name="Gone")
    schedule = make_schedule(gone, acme, dataset="users")
    path = f"{TASKS}/{schedule.pk}"
    assert client.put(path, client.get(path).json()).status_code == 200
    assert ExportSchedule.objects.get().owner == gone  # who still may
    member.delete()
    past(schedule, HOUR)
    assert firing.fire_due() == 0
    state = client.get(path).json()["state"]
    assert (state["code"], "An admin can take it over" in state["paused"]) == ("ERROR", True)
    assert client.put(path, client.get(path).json()).json()["state"]["code"] == "READY"
    assert ExportSchedule.objects.get().owner == admin
    past(schedule, DAY)
    assert firing.fire_due() == 1


def test_pause_resume_and_take_over_are_in_the_ledger_with_who_did_it(
    client_of: Any, client: Any, admin: User, editor: User, viewer: User, acme: Organization
) -> None:
    gone = User.objects.create_user("gone@example.com", name="Gone")
    member = Member.objects.create(organization=acme, user=gone, role=Role.ADMIN, name="Gone")
    schedule = make_schedule(gone, acme, datetime(2030, 10, 26, 2, 30), timezone="Europe/Amsterdam")
    path = f"{TASKS}/{schedule.pk}"
    runs = client_of(viewer).get(f"{path}/next_runs?count=3").json()
    assert (runs["timezone"], [run["local"] for run in runs["runs"]]) == (
        "Europe/Amsterdam",
        ["2030-10-26T02:30:00+02:00", "2030-10-27T02:30:00+02:00", "2030-10-28T02:30:00+01:00"],
    )
    assert [run["at"] for run in runs["runs"]] == ["2030-10-26T00:30:00Z", "2030-10-27T00:30:00Z", "2030-10-28T01:30:00Z"]
    assert runs["runs"][1]["change"] == "02:30 comes twice; this is the first"
    assert len(client.get(f"{path}/next_runs").json()["runs"]) == 5
    assert client.get(f"{path}/next_runs?count=51").status_code == 400
    before = list(ExportSchedule.objects.values())
    for move in ("pause", "resume", "take_over"):
        assert client_of(editor).post(f"{path}/{move}").status_code == 403
        assert client.post(f"{path}/{move}", {"now": True}).status_code == 400
    assert list(ExportSchedule.objects.values()) == before
    for _ in range(2):
        paused = client.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["state"]["code"], paused.json()["state"]["paused"]) == (200, "ERROR", "Paused by Admin.")
    assert client.get(f"{path}/next_runs").json()["runs"] == []
    for _ in range(2):
        assert client.post(f"{path}/resume").json()["state"]["paused"] is None
    assert ExportSchedule.objects.get().owner == gone
    for _ in range(2):
        assert client.post(f"{path}/take_over").status_code == 200
    assert ExportSchedule.objects.get().owner == admin
    ExportSchedule.objects.update(owner=gone)
    member.delete()
    assert client.post(f"{path}/pause").status_code == client.post(f"{path}/resume").status_code == 200
    assert ExportSchedule.objects.get().owner == admin
    lines = client_of(viewer).get(f"{path}/events").json()
    assert [(line["kind"], line["actor"]["name"], line["detail"]) for line in reversed(lines)] == [
        ("created", "Gone", ""),
        ("paused", "Admin", ""),
        ("resumed", "Admin", ""),
        ("taken_over", "Admin", "It was Gone's."),
        ("paused", "Admin", ""),
        ("taken_over", "Admin", "It was Gone's."),
        ("resumed", "Admin", ""),
    ]
    assert client.get(f"{path}/events?limit=1&offset=1").json() == lines[1:2]
    assert client.delete(path).status_code == 204
    last = ScheduleEvent.objects.order_by("pk").last()  # the ledger stays
    assert (last.kind, last.schedule_id, last.name, last.actor) == ("deleted", schedule.pk, "nightly", admin)


def test_what_cannot_run_is_not_resumed(client: Any, admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)
    past(schedule, HOUR)
    ExportSchedule.objects.update(format="papyrus")
    assert firing.fire_due() == 0
    before = list(ExportSchedule.objects.values())
    refused = client.post(f"{TASKS}/{schedule.pk}/resume")
    assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, "format")
    assert list(ExportSchedule.objects.values()) == before
    paused = client.get(f"{TASKS}/{schedule.pk}/events").json()[0]
    assert (paused["kind"], paused["actor"], paused["detail"]) == ("paused", None, ExportSchedule.objects.get().paused_detail)


@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_of_two_who_execute_at_once_one_does(admin: User, acme: Organization) -> None:
    schedule = keeping.get(admin, make_schedule(admin, acme).pk)
    for _ in range(5):
        done = at_once(*[lambda: firing.execute(admin, schedule)] * 4)
        assert sorted(type(each).__name__ for each in done) == ["Conflict"] * 3 + ["Firing"], done
        end_jobs(schedule)
        settling.settle()
    assert ExportJob.objects.count() == 5


# -- Changes -------------------------------------------------------------------------------------------------------
def test_changes_only_is_said_kept_and_reset(client: Any, client_of: Any, editor: User, acme: Organization) -> None:
    wanted = body(repeat="daily", index="users")
    wanted["target"]["changes_only"] = True
    task = client.post(TASKS, wanted).json()
    path = f"{TASKS}/{task['id']}"
    assert (task["target"]["changes_only"], task["base"]) == (True, None)
    job = make_job(acme, editor, "done")
    base = {"job_uuid": job.pk, "key": "k", "size": 24, "sha256": "", "rows": 1, "layout": "", "snapshot_at": datetime(2024, 2, 29, tzinfo=UTC)}
    ChangeBase.objects.create(schedule_id=task["id"], **base)
    shown = client.get(path).json()
    assert shown["base"] == {"job": str(job.pk), "snapshot_at": "2024-02-29T00:00:00Z", "rows": 1}
    assert client.put(path, shown).json()["base"] == shown["base"]  # as it was read
    assert client.put(path, body(repeat="weekly", index="users")).json()["target"]["changes_only"]
    assert client_of(editor).post(f"{path}/reset").status_code == 403
    assert client.post(f"{path}/reset", {"whole": True}).status_code == 400
    assert ChangeBase.objects.count() == 1
    for _ in range(2):
        reset = client.post(f"{path}/reset")
        assert (reset.status_code, reset.json()["base"]) == (200, None)
    assert Litter.objects.get().name == "k"
    wanted["target"]["changes_only"] = False
    assert client.put(path, wanted).json()["target"]["changes_only"] is False
    refused = client.post(f"{path}/reset")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "not_changes_only")
    for changes, field in (({"changes_only": "true"}, "target.changes_only"), ({"changes_only": 1}, "target.changes_only")):
        wrong = client.post(TASKS, {**wanted, "target": wanted["target"] | changes})
        assert (wrong.status_code, wrong.json()["field_errors"][0]["field"]) == (400, field)
    wrong = client.post(TASKS, {**wanted, "trigger": wanted["trigger"] | {"overlap": "queue"}, "target": wanted["target"] | {"changes_only": True}})
    assert (wrong.status_code, wrong.json()["field_errors"][0]["field"]) == (400, "target.changes_only")
