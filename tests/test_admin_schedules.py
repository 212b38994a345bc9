"""The admin's screens of schedules: who sees and changes what, the form and its preview, the ledger, and what other pages hand over."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from exports.models import ExportConfig, ExportJob, ExportSchedule, Firing, Outcome, ScheduleEvent
from exports.services import configs, jobs, segments, specs
from exports.services.deliveries import destinations
from exports.services.schedules import pausing, recurrence, settling
from taskexport.staff import hand_over
from tasks.models import Organization, User
from tests.making import make_job
from tests.scheduling import DAY, SEGMENT, end_jobs, make_schedule, now

StaffClientOf = Callable[[User], Client]
LIST = "/admin/exports/exportschedule/"
ADD = f"{LIST}add/"
VERBS = ("run", "pause", "resume", "take-over", "reset", "remove")


def page(schedule: ExportSchedule, name: str = "change") -> str:
    return f"{LIST}{schedule.pk}/{name}/"


def form(**values: Any) -> dict[str, Any]:
    return {
        "name": "Nightly",
        "what": "builtin-basic",
        "rows": "all",
        "window": "yesterday",
        "format": "csv",
        "kind": "daily",
        "clock": "02:30",
        "timezone": "UTC",
        "missed": "latest",
        "overlap": "skip",
        "mail_on": "ends",
    } | values


def kept() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (ExportSchedule, Firing, ExportJob, ScheduleEvent)]


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def text_of(client: Client, path: str, **query: Any) -> str:
    return client.get(path, query).content.decode()


# -- Who sees and does what ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["admin", "editor", "viewer", "owner"])
def test_whoever_reads_the_organization_sees_list_and_page_and_the_buttons_of_their_role(
    request: pytest.FixtureRequest, role: str, admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    schedule = make_schedule(admin, acme, name="Seen by all of acme")
    ExportSchedule.objects.filter(pk=schedule.pk).update(owner=editor)
    client = staff_client_of(request.getfixturevalue(role))
    assert "Seen by all of acme" in text_of(client, LIST)
    text = text_of(client, page(schedule))
    shown = {name for name in (*VERBS, "edit") if f'data-verb="{name}"' in text}
    assert shown == {"admin": {"run", "pause", "take-over", "edit", "remove"}, "editor": {"run"}}.get(role, set())
    unguarded = make_schedule(admin, acme, name="Raw", format="csv", options={"guard": "none"})
    assert ('data-verb="run"' in text_of(client, page(unguarded))) == (role == "admin")
    assert client.get(ADD).status_code == (200 if role == "admin" else 403)


@pytest.mark.parametrize("role", ["editor", "viewer", "owner", "outsider"])
def test_what_is_hidden_is_refused_and_changes_nothing(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    schedule = make_schedule(admin, acme, changes_only=True)
    paused = make_schedule(admin, acme, name="paused")
    pausing.pause(admin, paused)
    client, before = staff_client_of(request.getfixturevalue(role)), kept()
    for verb in VERBS[(1 if role == "editor" else 0) :]:
        for one in (schedule, paused):
            assert client.post(page(one, verb)).status_code in {302, 403}, verb
    assert client.post(page(schedule, "edit"), form(name="Mine")).status_code in {302, 403}
    if role == "outsider":  # who may make schedules, in another organization
        assert client.post(ADD, form(organization=acme.pk, what="nothing")).status_code == 200
    else:
        assert client.post(ADD, form(organization=acme.pk)).status_code == 403
    assert client.post(page(schedule)).status_code == 405
    assert kept() == before


def test_another_organization_s_schedules_are_not_there(admin: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    config = ExportConfig.objects.create(organization=acme, name="Secret config", columns=[{"key": "id", "title": "Id"}])
    segment = segments.create(admin, acme, "Secret segment", SEGMENT)
    schedule, job = make_schedule(admin, acme, name="Secret schedule"), make_job(admin, acme, "Secret job")
    client = staff_client_of(outsider)
    for path in (LIST, f"{LIST}?q=S", f"{LIST}?of={acme.pk}", f"{ADD}?organization={acme.pk}", f"{ADD}?from_job={job.pk}"):
        assert "Secret" not in client.get(path, follow=True).content.decode(), path
    for path in (f"{ADD}?config={config.pk}", f"{ADD}?segment={segment.pk}", page(schedule), page(schedule, "edit"), page(schedule, "remove")):
        assert "Secret" not in client.get(path, follow=True).content.decode(), path
    refused = client.post(ADD, form(what=f"config-{config.pk}", rows=f"segment-{segment.pk}"))
    assert {"what", "rows"} <= refused.context["form"].errors.keys()
    assert ExportSchedule.objects.count() == 1


# -- Buttons -------------------------------------------------------------------------------------------------------
def test_an_admin_runs_pauses_resumes_takes_over_and_resets(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    schedule = make_schedule(admin, acme, changes_only=True)
    ExportSchedule.objects.filter(pk=schedule.pk).update(owner=editor)
    client = staff_client_of(admin)
    assert "runs now" in said(client.post(page(schedule, "run"), follow=True))
    assert "running already" in said(client.post(page(schedule, "run"), follow=True))
    job = ExportJob.objects.get()
    assert (job.created_by, job.status, job.trigger) == (admin, "queued", "schedule")
    client.post(page(schedule, "pause"))
    text = text_of(client, page(schedule))
    assert "Paused by Admin." in text
    assert 'data-verb="resume"' in text
    assert 'data-part="runs"' not in text
    for verb in ("resume", "take-over", "reset"):
        assert client.post(page(schedule, verb))["Location"] == page(schedule), verb
    schedule.refresh_from_db()
    assert (schedule.paused_reason, schedule.owner) == ("", admin)
    told = [event["what"] for event in client.get(page(schedule)).context["events"]]
    assert told == ["Reset to a full export", "Taken over", "Resumed", "Paused", "Created"]
    before = kept()
    for verb in VERBS[:-1]:
        assert "press the button again" in said(client.get(page(schedule, verb), follow=True)), verb
    assert kept() == before


def test_the_page_says_the_options_of_the_format_in_words(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    schedule = make_schedule(admin, acme, format="csv", options={"delimiter": "\t", "bom": True})
    assert "CSV; delimiter: tab; bom: yes" in text_of(staff_client_of(admin), page(schedule))


def test_deleting_asks_once_more_and_leaves_the_exports(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    schedule = make_schedule(admin, acme)
    client = staff_client_of(admin)
    client.post(page(schedule, "run"))
    assert "Delete nightly?" in text_of(client, page(schedule, "remove"))
    assert ExportSchedule.objects.exists()
    client.post(page(schedule, "remove"))
    assert (ExportSchedule.objects.count(), ExportJob.objects.count()) == (0, 1)


# -- The form ------------------------------------------------------------------------------------------------------
def test_an_admin_makes_one_and_sees_when_it_runs(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    store = {"name": "Bucket", "bucket": "acme-exports", "access_key_id": "AKIA", "secret_access_key": "secret"}
    destination = destinations.create(admin, acme, store)
    client = staff_client_of(admin)
    nonce = client.get(ADD).context["form"]["nonce"].value()
    asked = form(
        option_csv_archive="none",
        option_xlsx_x="left alone",
        kind="monthly",
        day="31",
        timezone="Europe/Amsterdam",
        nonce=str(nonce),
        recipients="editor@example.com\n",
        destination=str(destination.pk),
        ends_on="2090-05-31",
    )
    response = client.post(ADD, asked, follow=True)
    schedule = ExportSchedule.objects.get()
    assert response.redirect_chain == [(page(schedule), 302)]
    assert (schedule.organization, schedule.owner, schedule.kind, schedule.options) == (acme, admin, "monthly", {"archive": "none"})
    assert (list(schedule.recipients.all()), schedule.destination) == ([editor], destination)
    assert schedule.ends_at == datetime(2090, 5, 31, 21, 59, 59, 999999, UTC)
    assert datetime.fromisoformat(schedule.starts_on_clock).day == 31
    assert schedule.next_run_at
    assert schedule.next_run_at > now()
    text = response.content.decode()
    assert "Every month on the 31st, or on the last day of a shorter month, at 02:30" in text
    assert "Bucket" in text
    assert len(response.context["coming"]) == 5
    assert "sent before" in said(client.post(ADD, asked, follow=True))  # a double click
    assert ExportSchedule.objects.count() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"kind": "cron", "cron": "61 * * * *"}, "cron"),
        ({"kind": "cron", "cron": ""}, "cron"),
        ({"kind": "once", "clock": "02:30"}, "on_day"),
        ({"clock": ""}, "clock"),
        ({"clock": "25:00"}, "clock"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"ends_on": "2020-01-01"}, "ends_on"),
        ({"starts_on": "0001-01-01"}, "starts_on"),
        ({"window": ""}, "window"),
        ({"window": "since_last", "overlap": "queue"}, "window"),
        ({"what": "own", "carried": '{"dataset": "tasks", "columns": [{"key": "nothing"}]}'}, "what"),
        ({"what": "own", "carried": '{"dataset": "nothing", "columns": [{"key": "id"}]}'}, "what"),
        ({"rows": "own", "carried": '{"filter": {"column": "nothing", "op": "is", "value": 1}}'}, "rows"),
        ({"rows": "own", "carried": "[" * 5000}, "rows"),
        ({"what": "own", "carried": '{"dataset": ["tasks"], "columns": [{"key": "id", "title": "\\ud800"}]}'}, "what"),
        ({"rows": "own", "carried": '{"filter": {"column": "title", "op": "is", "value": "\\ud800"}}'}, "rows"),
        ({"rows": "own", "carried": '{"rules": {"join": "all", "rules": 7}}'}, "rows"),
        ({"rows": "own", "carried": '{"filter": {"column": "title", "op": "is", "value": 1}, "rules": {"join": "all", "rules": []}}'}, "rows"),
        ({"version": "9" * 30}, "version"),
        ({"option_csv_delimiter": "x"}, "option_csv_delimiter"),
        ({"recipients": "nobody@example.com"}, "recipients"),
        ({"destination": "7"}, "destination"),
        ({"changes_only": "on", "skip_when_empty": "on"}, "skip_when_empty"),
    ],
)
def test_a_refusal_stands_at_its_field_and_nothing_typed_is_lost(
    values: dict[str, Any], field: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    asked = form(description="Kept as typed") | values
    response = staff_client_of(admin).post(ADD, asked)
    assert response.status_code == 200
    assert field in response.context["form"].errors
    text = response.content.decode()
    assert "Nothing is saved yet." in text
    assert "Kept as typed" in text
    assert response.context["form"]["kind"].value() == asked["kind"]
    assert not ExportSchedule.objects.exists()


def test_saved_without_a_change_it_keeps_its_place_in_time_and_what_other_doors_have_set(
    admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    rules = {"index": "tasks", **{name: SEGMENT[name] for name in ("join", "rules")}}
    columns = [{"key": "title", "title": "What"}]
    first = datetime(2090, 1, 31, 2, 30, 15, tzinfo=UTC)
    schedule = make_schedule(admin, acme, first, kind="monthly", rules=rules, columns=columns, timezone="Europe/Amsterdam", stem="Task_Export")
    client = staff_client_of(admin)
    shown = client.get(page(schedule, "edit")).context["form"]
    asked = {one.html_name: one.value() for one in shown if one.value() is not None} | {"name": "Renamed"}
    before: dict[str, Any] = dict(ExportSchedule.objects.values().get())
    assert client.post(page(schedule, "edit"), asked)["Location"] == page(schedule)
    after: dict[str, Any] = dict(ExportSchedule.objects.values().get())
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"name", "version", "updated_at"}
    assert "name: nightly → Renamed" in text_of(client, page(schedule))
    stale = client.post(page(schedule, "edit"), asked | {"name": "Twice"})
    assert "at version 2 now" in stale.content.decode()
    assert ExportSchedule.objects.get().name == "Renamed"
    # The form has what was written, and knows of the other's version: sent once more it is the last word.
    again = {one.html_name: one.value() for one in stale.context["form"] if one.value() is not None}
    assert (again["name"], again["version"]) == ("Twice", "2")
    assert client.post(page(schedule, "edit"), again)["Location"] == page(schedule)
    assert ExportSchedule.objects.get().name == "Twice"


def test_the_preview_is_what_the_schedule_then_does(admin: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    timing = {"kind": "daily", "clock": "02:30", "timezone": "Europe/Amsterdam", "starts_on": "2090-03-24"}
    found = client.get(f"{LIST}preview/", timing).json()
    assert found["errors"] == {}
    assert [run["at"] for run in found["runs"][:3]] == ["2090-03-24T01:30:00Z", "2090-03-25T01:30:00Z", "2090-03-26T01:00:00Z"]
    assert [run["change"] for run in found["runs"]][2] == "the clocks jump over 02:30"
    client.post(ADD, form(**timing))
    assert client.get(page(ExportSchedule.objects.get())).context["coming"] == found["runs"]
    cron = client.get(f"{LIST}preview/", {"kind": "cron", "cron": "30 7 * * 1-5", "timezone": "UTC"}).json()
    assert cron["words"] == "At 07:30 on Monday through Friday"
    assert client.get(f"{LIST}preview/", {"kind": "cron", "cron": "1 2 3", "timezone": "UTC"}).json()["errors"].keys() == {"cron"}
    assert client.get(f"{LIST}preview/", {}).json()["errors"].keys() >= {"kind", "timezone"}
    assert client.post(f"{LIST}preview/", timing).status_code == 405
    assert Client().get(f"{LIST}preview/", timing).status_code == 302


@pytest.mark.parametrize(
    ("after", "day", "begins", "anchor"),
    [
        ("2026-02-10T00:00", 31, "2026-02-28T06:00", "2026-01-31T06:00"),
        ("2026-02-28T07:00", 31, "2026-03-31T06:00", "2026-03-31T06:00"),
        ("2028-02-28T07:00", 30, "2028-02-29T06:00", "2028-01-30T06:00"),
        ("2026-12-31T07:00", 1, "2027-01-01T06:00", "2027-01-01T06:00"),
    ],
)
def test_a_month_s_day_is_kept_where_the_first_month_is_too_short(after: str, day: int, begins: str, anchor: str) -> None:
    clock = datetime.fromisoformat(begins).time()
    first = recurrence.begin("monthly", "UTC", clock, datetime.fromisoformat(f"{after}Z"), day=day)
    assert first == datetime.fromisoformat(begins)
    assert recurrence.anchored(first, day) == datetime.fromisoformat(anchor)


def test_with_several_organizations_one_is_chosen_first(acme: Organization, globex: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(User.objects.create_superuser("boss@example.com"))
    ExportConfig.objects.create(organization=globex, name="Of globex", columns=[{"key": "id", "title": "Id"}])
    text = text_of(client, ADD, segment="", config="")
    assert "Acme" in text
    assert "Globex" in text
    assert "Of globex" not in text_of(client, ADD, organization=acme.pk)
    assert "Of globex" in text_of(client, ADD, organization=globex.pk)
    client.post(ADD, form(organization=globex.pk))
    assert ExportSchedule.objects.get().organization == globex


# -- Handed over ---------------------------------------------------------------------------------------------------
def test_a_job_s_repeat_begins_with_its_choices(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    rows = {"column": "status", "op": "is", "value": "none"}
    job = make_job(admin, acme, "Open tasks", type="custom", dataset="tasks", columns=[{"key": "title", "title": "What"}], filter=rows, format="xlsx")
    client = staff_client_of(admin)
    shown = client.get(ADD, {"from_job": str(job.pk)}).context["form"]
    assert {name: shown[name].value() for name in ("name", "what", "rows", "format")} == {
        "name": "Open tasks",
        "what": "own",
        "rows": "own",
        "format": "xlsx",
    }
    asked = {one.html_name: one.value() for one in shown if one.value() is not None}
    client.post(ADD, asked | {"window": "last_week"})
    schedule = ExportSchedule.objects.get()
    assert (schedule.columns, schedule.filter, schedule.format) == ([{"key": "title", "title": "What"}], rows, "xlsx")
    assert "There is no such export job." in client.get(ADD, {"from_job": str(uuid.uuid4())}).content.decode()
    assert client.get(ADD, {"from_job": "x", "draft": "x"}).status_code == 200


def test_a_repeat_says_what_a_schedule_will_not_do_as_the_job_did(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    job = make_job(admin, acme, type="custom", dataset="tasks", columns=["id"], date_format="dmy", sort=[{"column": "title"}])
    text = text_of(client, ADD, from_job=str(job.pk))
    assert "does not keep its date format" in text
    assert "does not keep the order of its rows" in text
    config = configs.create(admin, acme, {"name": "Ours", "columns": ["id"], "date_format": "dmy"})
    job = jobs.create(admin, acme, specs.make({"org_name": "Acme", "name": "job", "type": "custom", **specs.EVER}, config))
    text = text_of(client, ADD, from_job=str(job.pk))
    assert "does not keep" not in text
    assert "was changed since" not in text
    configs.update(admin, config, {"columns": ["id", "title"]})
    assert "The config “Ours” was changed since" in text_of(client, ADD, from_job=str(job.pk))


def test_a_repeat_of_a_change_export_begins_without_the_columns_that_it_adds(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(admin, acme, type="custom", dataset="tasks", columns=["title"], changes_of=1)
    assert [column["title"] for column in job.spec["columns"]] == ["_change", "_id", "title"]
    client = staff_client_of(admin)
    shown = client.get(ADD, {"from_job": str(job.pk)}).context["form"]
    asked = {one.html_name: one.value() for one in shown if one.value() not in {None, False}}
    client.post(ADD, asked | {"window": "all"})
    schedule = ExportSchedule.objects.get()
    assert (schedule.columns, schedule.changes_only) == ([{"key": "title", "title": "title"}], True)


def test_the_choices_of_a_new_export_are_handed_over_by_the_session(
    admin: User, acme: Organization, staff_client_of: StaffClientOf, rf: RequestFactory
) -> None:
    segment = segments.create(admin, acme, "Open", SEGMENT)
    client = staff_client_of(admin)
    request: Any = rf.get("/")
    request.session = client.session
    choices = {
        "organization": acme.pk,
        "name": "Wished",
        "type": "fedex",
        "segment_id": segment.pk,
        "window": "last_month",
        "format": "json",
        "sort": [],
    }
    address = hand_over(request, choices, to="admin:exports_exportschedule_add")
    request.session.save()
    shown = client.get(address).context["form"]
    wanted = {"name": "Wished", "what": "builtin-fedex", "rows": f"segment-{segment.pk}", "window": "last_month", "format": "json"}
    assert {name: shown[name].value() for name in wanted} == wanted


def test_choices_of_any_shape_are_handed_over_without_a_fault(
    admin: User, acme: Organization, staff_client_of: StaffClientOf, rf: RequestFactory
) -> None:
    client = staff_client_of(admin)
    request: Any = rf.get("/")
    request.session = client.session
    names = ("organization", "name", "dataset", "type", "columns", "config_id", "segment_id", "filter", "sort", "window", "format", "options")
    for odd in ([], [1], {"a": 1}, 7, None, "x", True):
        address = hand_over(request, dict.fromkeys(names, odd), to="admin:exports_exportschedule_add")
        request.session.save()
        assert client.get(address).status_code == 200, odd
    for query in ("q=%00", "q=%ff", "p=x", "state=x", "kind=x", "of=x", "o=9", "page=x", "organization=x"):
        assert client.get(f"{LIST}?{query}").status_code in {200, 302, 400}, query
        assert client.get(f"{ADD}?{query}").status_code == (400 if "%00" in query else 200), query


# -- Runs, and how much it costs -----------------------------------------------------------------------------------
def test_the_ledger_tells_each_run_in_words_page_by_page(admin: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    schedule = make_schedule(admin, acme)
    for number, outcome in enumerate([*Outcome.values] * 6):
        Firing.objects.create(schedule=schedule, intended_at=now() - (number + 1) * DAY, outcome=outcome, detail=f"detail {number}")
    staff_client_of(admin).post(page(schedule, "run"))
    end_jobs(schedule, "failed", "The storage did not answer.")
    settling.settle(schedule.pk)
    client = staff_client_of(viewer)
    text = text_of(client, page(schedule))
    for word in ("Done, late", "Skipped", "Missed", "Failed", "The storage did not answer.", "by hand", "Page 1 of 2", "Older"):
        assert word in text, word
    assert f"/admin/exports/exportjob/{ExportJob.objects.get().pk}/change/" in text
    assert "detail 0" in text_of(client, page(schedule), page=2)
    assert client.get(page(schedule), {"page": "x"}).status_code == 200
    assert "Failed" in text_of(client, LIST)


def test_list_and_page_cost_the_same_however_many_there_are(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    counts = []
    for number in range(2):
        for each in range(1 + 3 * number):
            schedule = make_schedule(admin, acme, name=f"{number}.{each}")
            for day in range(1 + 3 * number):
                Firing.objects.create(schedule=schedule, intended_at=now() - day * DAY, outcome="done", job=make_job(admin, acme))
        for path in (LIST, page(schedule), page(schedule, "edit"), ADD):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert client.get(path).status_code == 200
            counts.append(len(queries))
    assert counts[:4] == counts[4:]
    assert max(counts) < 20


def test_an_empty_list_says_what_to_do(admin: User, viewer: User, staff_client_of: StaffClientOf) -> None:
    assert "Add one, or press" in text_of(staff_client_of(admin), LIST)
    assert "An admin of your organization can add one" in text_of(staff_client_of(viewer), LIST)
