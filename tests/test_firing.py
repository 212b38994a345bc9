"""Schedules under the tick: each run once, whatever was down, broken, slow, or gone."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from exports import worker
from exports.datasets import Spec
from exports.models import ExportConfig, ExportJob, ExportSchedule, Firing
from exports.services import configs, jobs, segments
from exports.services.schedules import firing, keeping, pausing, runs, settling, windows
from taskexport.errors import Conflict, Forbidden, Invalid, NotFound
from tasks.models import Member, Organization, Role, Task, User
from tests.making import at_once, make_tasks
from tests.scheduling import DAY, HOUR, end_jobs, make_schedule, now, outcomes, past

pytestmark = pytest.mark.django_db
RULES = {"join": "all", "rules": [{"field_name": "status", "field_type": "keyword", "operator": "is", "value": "none"}]}


def fresh(schedule: ExportSchedule) -> ExportSchedule:
    return ExportSchedule.objects.get(pk=schedule.pk)


# -- One run -------------------------------------------------------------------------------------------------------
def test_a_run_makes_one_job_and_moves_on(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)
    assert firing.fire_due() == 0
    due = past(schedule, HOUR)
    assert firing.fire_due() == 1
    assert firing.fire_due() == 0
    run = Firing.objects.get()
    assert (run.intended_at, run.outcome, run.job.status, run.job.trigger, run.job.created_by) == (due, "", "queued", "schedule", admin)
    assert fresh(schedule).next_run_at == due + DAY
    end_jobs(schedule)
    assert settling.settle() == 1
    assert settling.settle() == 0
    after = fresh(schedule)
    assert (outcomes(schedule), after.last_outcome, after.result_job, after.failures) == (["done"], "done", run.job, 0)


def test_what_was_past_when_it_was_asked_for_runs_once_and_is_not_missed(admin: User, acme: Organization) -> None:
    old = datetime(2019, 8, 24, 14, 15, 22, tzinfo=UTC)
    once = make_schedule(admin, acme, old, kind="once", missed="skip")
    daily = make_schedule(admin, acme, old, missed="all", window="today")
    assert firing.fire_due() == 2
    assert firing.fire_due() == 0
    assert fresh(once).next_run_at is None
    following = fresh(daily).next_run_at
    assert following
    assert now() < following <= now() + DAY
    assert f"{following:%H:%M:%S}" == "14:15:22"
    (run,) = daily.firings.all()
    assert abs(run.intended_at - now()) < timedelta(minutes=1)  # as of when it was asked for
    assert Spec.from_json(run.job.spec).created_from.date() == run.intended_at.date()
    end_jobs(daily)
    settling.settle()
    assert outcomes(daily) == ["done"]


def test_a_run_that_is_made_late_says_so(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)
    past(schedule, HOUR + timedelta(minutes=6))
    assert firing.fire_due() == 1
    end_jobs(schedule)
    settling.settle()
    assert outcomes(schedule) == ["late"]
    assert fresh(schedule).last_outcome == "late"


# -- While nothing ran ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("missed", "runs"), [("latest", 1), ("skip", 0), ("all", 3)])
def test_down_for_three_days(admin: User, acme: Organization, missed: str, runs: int) -> None:
    schedule = make_schedule(admin, acme, missed=missed, window="yesterday")
    due = past(schedule, 3 * DAY)
    assert firing.fire_due() == runs
    assert outcomes(schedule) == ["missed"] * (3 - runs) + [""] * runs
    assert list(schedule.firings.order_by("pk").values_list("intended_at", flat=True)) == [due, due + DAY, due + 2 * DAY]
    assert fresh(schedule).next_run_at == due + 3 * DAY
    # Each run covers the day before its own time, however late it is.
    specs = [Spec.from_json(run.job.spec) for run in schedule.firings.order_by("pk") if run.job]
    assert [spec.created_before.date() for spec in specs] == [(due + n * DAY).date() for n in range(3 - runs, 3)]
    assert firing.fire_due() == 0


def test_what_is_on_time_runs_under_the_policy_skip(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, missed="skip")
    past(schedule, HOUR + 2 * DAY)
    assert firing.fire_due() == 1
    assert outcomes(schedule) == ["missed", "missed", ""]


def test_making_up_is_bounded(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, kind="cron", cron="* * * * *", missed="all")
    past(schedule, 30 * DAY)
    assert firing.fire_due() == firing.MOST_CAUGHT_UP
    assert outcomes(schedule) == ["missed"] * firing.MOST_LISTED + [""] * firing.MOST_CAUGHT_UP
    assert "and more before it" in schedule.firings.order_by("pk").first().detail
    times = list(schedule.firings.order_by("pk").values_list("intended_at", flat=True))
    assert times == sorted(times)
    assert now() - times[-1] < timedelta(minutes=2)


def test_a_schedule_ends(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, ends_at=now() + DAY)
    past(schedule, HOUR)
    ExportSchedule.objects.filter(pk=schedule.pk).update(ends_at=now() + HOUR)
    assert firing.fire_due() == 1
    assert fresh(schedule).next_run_at is None
    with pytest.raises(Invalid, match="ends_at"):
        make_schedule(admin, acme, ends_at=now())


# -- A run longer than its period ----------------------------------------------------------------------------------
def test_an_overlapping_run_is_left_out(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)
    past(schedule, HOUR + DAY)
    for _ in range(2):
        firing.fire_due()
        past(schedule, DAY)
    assert outcomes(schedule) == ["missed", "", "skipped"]
    assert schedule.firings.first().detail == "the run before was still going on"
    assert ExportJob.objects.count() == 1
    end_jobs(schedule)
    settling.settle()
    assert firing.fire_due() == 1


def test_an_overlapping_run_waits_where_it_is_said(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, kind="cron", cron="* * * * *", missed="all", overlap="queue")
    past(schedule, timedelta(minutes=20))
    ExportSchedule.objects.filter(pk=schedule.pk).update(next_run_at=(now() - timedelta(minutes=14)).replace(second=0, microsecond=0))
    made = firing.fire_due()
    assert made == 1 + firing.MOST_WAITING
    assert outcomes(schedule)[-3:] == ["skipped"] * 3
    statuses = list(ExportJob.objects.order_by("firings__pk").values_list("status", flat=True))
    assert statuses == ["queued"] + ["new"] * firing.MOST_WAITING
    settling.settle()
    assert list(ExportJob.objects.filter(status="queued").values_list("firings__pk", flat=True)) == [schedule.firings.order_by("pk").first().pk]
    end_jobs(schedule)
    assert settling.settle() == 1
    following = list(ExportJob.objects.order_by("firings__pk").values_list("status", flat=True))
    assert following == ["done", "queued"] + ["new"] * (firing.MOST_WAITING - 1)
    # What waits goes with its schedule; what is queued goes on.
    with transaction.atomic():
        keeping.delete(admin, schedule)
        assert ExportJob.objects.filter(status="failed").count() == firing.MOST_WAITING - 1
        assert ExportJob.objects.filter(status="queued").count() == 1
        transaction.set_rollback(True)
    # Whoever lost the right has no run started.
    Member.objects.filter(user=admin).update(role=Role.VIEWER)
    end_jobs(schedule)
    settling.settle()
    assert ExportJob.objects.filter(status="failed", error_code="permission_lost").count() == 1


# -- Broken ones ---------------------------------------------------------------------------------------------------
def test_one_broken_schedule_among_100_is_disabled_alone(admin: User, acme: Organization) -> None:
    first = make_schedule(admin, acme)
    due = past(first, HOUR)
    values: dict[str, Any] = {**ExportSchedule.objects.values().get()}
    values.pop("id")
    ExportSchedule.objects.bulk_create([ExportSchedule(**values) for _ in range(99)])
    broken = list(ExportSchedule.objects.order_by("pk")[50:53])
    ExportSchedule.objects.filter(pk=broken[0].pk).update(format="papyrus")
    ExportSchedule.objects.filter(pk=broken[1].pk).update(timezone="Atlantis/Poseidonis")
    ExportSchedule.objects.filter(pk=broken[2].pk).update(options=7)
    assert firing.fire_due() == 97
    assert ExportSchedule.objects.filter(paused_reason="").count() == 97
    assert ExportSchedule.objects.filter(paused_reason="", next_run_at=due + DAY).count() == 97
    reasons = [fresh(schedule).paused_detail for schedule in broken]
    assert reasons[0].startswith("format: Write one of: csv")
    assert "ZoneInfoNotFoundError" in reasons[1]
    assert "Atlantis" not in reasons[1]
    assert "TypeError" in reasons[2] or "AttributeError" in reasons[2]
    assert [outcomes(schedule) for schedule in broken] == [["failed"]] * 3
    assert firing.fire_due() == 0
    with pytest.raises(Invalid):
        pausing.resume(admin, keeping.get(admin, broken[0].pk))
    ExportSchedule.objects.filter(pk=broken[0].pk).update(format="csv")
    pausing.resume(admin, keeping.get(admin, broken[0].pk))
    assert (fresh(broken[0]).paused_reason, fresh(broken[0]).next_run_at) == ("", due + DAY)


def test_an_owner_who_lost_the_role_pauses_it_until_an_admin_takes_over(admin: User, acme: Organization, outsider: User, editor: User) -> None:
    schedule = make_schedule(admin, acme)
    due = past(schedule, HOUR)
    assert runs.may_run(fresh(schedule))
    other = User.objects.create_user("other@example.com", name="Other")
    Member.objects.create(organization=acme, user=other, role=Role.ADMIN, name="Other")
    Member.objects.filter(user=admin).delete()
    assert firing.fire_due() == 0
    assert (fresh(schedule).paused_reason, outcomes(schedule), ExportJob.objects.count()) == ("owner_lost", ["failed"], 0)
    assert "no longer export" in fresh(schedule).paused_detail
    for user, error in ((editor, Forbidden), (outsider, NotFound)):
        with pytest.raises(error):
            pausing.resume(user, schedule)
    assert fresh(schedule).paused_reason == "owner_lost"
    pausing.resume(other, keeping.get(other, schedule.pk))
    assert (fresh(schedule).owner, fresh(schedule).next_run_at) == (other, due + DAY)
    past(schedule, DAY)
    assert firing.fire_due() == 1
    end_jobs(schedule)
    # What should have run once does, when somebody takes it over.
    once = make_schedule(other, acme, now() - HOUR, kind="once")
    ExportSchedule.objects.filter(pk=once.pk).update(owner=admin)
    assert firing.fire_due() == 0
    assert outcomes(once) == ["failed"]
    pausing.resume(other, keeping.get(other, once.pk))
    assert firing.fire_due() == 1
    assert outcomes(once) == ["failed", ""]
    keeping.delete(other, once)
    # A deactivated user and a deleted one are gone just so.
    for owner, is_active in ((other, False), (None, True)):
        User.objects.filter(pk=other.pk).update(is_active=is_active)
        past(schedule, DAY)
        ExportSchedule.objects.filter(pk=schedule.pk).update(paused_reason="", owner=owner)
        assert firing.fire_due() == 0
        assert fresh(schedule).paused_reason == "owner_lost"


def test_five_failures_in_a_row_pause_it(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, missed="latest")
    results = ["failed", "failed", "done", "failed", "failed", "cancelled", "failed", "failed", "failed"]
    for number, status in enumerate(results):
        past(schedule, HOUR if not number else DAY)
        assert firing.fire_due() == 1, number
        end_jobs(schedule, status, f"reason {number}")
        settling.settle()
        assert bool(fresh(schedule).paused_reason) == (number == 8)
    assert fresh(schedule).paused_reason == "failures"
    assert "reason 8" in fresh(schedule).paused_detail
    past(schedule, DAY)
    assert firing.fire_due() == 0
    pausing.resume(admin, keeping.get(admin, schedule.pk))
    assert (fresh(schedule).paused_reason, fresh(schedule).failures) == ("", 0)


# -- Two at once ---------------------------------------------------------------------------------------------------
@pytest.mark.serial
@pytest.mark.django_db(transaction=True)
def test_two_tickers_make_each_run_once(admin: User, acme: Organization) -> None:
    count = 500 if connection.vendor == "postgresql" else 40
    first = make_schedule(admin, acme)
    past(first, HOUR)
    values: dict[str, Any] = {**ExportSchedule.objects.values().get()}
    values.pop("id")
    ExportSchedule.objects.bulk_create([ExportSchedule(**values) for _ in range(count - 1)])
    made: list[int] = []
    while sum(made) < count and len(made) < 10:  # on a slow machine a tick's time ends before all are made; the next ones go on
        made += at_once(firing.fire_due, firing.fire_due)
    assert sum(made) == count, made
    assert ExportJob.objects.filter(status="queued").count() == count
    assert Firing.objects.count() == Firing.objects.values("schedule").distinct().count() == count
    assert not ExportSchedule.objects.filter(next_run_at__lte=now()).exists()
    assert not ExportSchedule.objects.exclude(paused_reason="").exists()
    # And if the lock did not hold, the row would not be made.
    run = Firing.objects.first()
    with pytest.raises(IntegrityError), transaction.atomic():
        Firing.objects.create(schedule=run.schedule, intended_at=run.intended_at)


# -- Rows ----------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_an_empty_run_is_skipped_where_it_is_said_and_a_full_one_goes_through(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, skip_when_empty=True, rules=RULES, stem="Task_Export")
    past(schedule, HOUR)
    assert firing.fire_due() == 0
    assert (outcomes(schedule), schedule.firings.first().detail) == (["skipped"], "no rows")
    make_tasks(acme, 3)
    past(schedule, DAY)
    assert worker.tick()["fired"] == 1
    worker.run_next()
    assert worker.tick()["settled"] == 1
    job = fresh(schedule).result_job
    assert (job.file.rows, job.file.name, outcomes(schedule)) == (3, f"Task_Export-{schedule.pk}.csv.zip", ["skipped", "done"])


def test_what_was_delivered_by_hand_is_not_delivered_again(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)  # of all rows
    firing.execute(admin, schedule)
    end_jobs(schedule)
    settling.settle()
    by_hand = schedule.firings.get().intended_at
    ExportSchedule.objects.update(window="since_last")
    later = runs.wish_of(fresh(schedule), by_hand + HOUR).spec
    assert (later.created_from, later.created_before) == (by_hand, by_hand + HOUR)
    before = runs.wish_of(fresh(schedule), by_hand - HOUR).spec
    assert before.created_before == by_hand - HOUR
    assert before.created_before - before.created_from == timedelta(microseconds=1)


def test_staff_read_a_job_of_all_times(admin: User, acme: Organization, staff_client_of: Any) -> None:
    Organization.objects.filter(pk=acme.pk).update(timezone="Asia/Kathmandu")
    run = firing.execute(admin, make_schedule(admin, acme, timezone="America/New_York"))
    for path in ("", f"{run.job_id}/", f"{run.job_id}/change/"):
        assert staff_client_of(admin).get(f"/admin/exports/exportjob/{path}", follow=True).status_code == 200


def test_since_last_goes_on_where_the_last_delivered_run_ended(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, window="since_last")
    bounds = []
    for number, status in enumerate(("done", "failed", "done")):
        due = past(schedule, HOUR if not number else DAY)
        if not number:
            first = due
        firing.fire_due()
        spec = Spec.from_json(schedule.firings.first().job.spec)
        bounds.append((spec.created_from, spec.created_before))
        end_jobs(schedule, status)
        settling.settle()
        assert bounds[-1][1] == due
    assert bounds[0] == (windows.BEGINNING, first)
    # The first one's end has moved back by a day each time, as everything has; the failed run delivered nothing.
    assert [bounds[1][0], bounds[2][0]] == [first - DAY, first - 2 * DAY]
    for field, word in (("missed", "all"), ("overlap", "queue")):
        with pytest.raises(Invalid, match="window"):
            make_schedule(admin, acme, **{"window": "since_last", field: word})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window", "first", "behind"),
    [
        ("yesterday", "2024-03-30T23:00", "2024-03-31T22:00"),  # 23 hours: the clocks were put forward
        ("today", "2024-03-31T22:00", "2024-04-01T22:00"),
        ("last_7_days", "2024-03-24T23:00", "2024-03-31T22:00"),
        ("last_30_days", "2024-03-01T23:00", "2024-03-31T22:00"),
        ("this_week", "2024-03-31T22:00", "2024-04-07T22:00"),
        ("last_week", "2024-03-24T23:00", "2024-03-31T22:00"),
        ("this_month", "2024-03-31T22:00", "2024-04-30T22:00"),
        ("last_month", "2024-02-29T23:00", "2024-03-31T22:00"),
        ("this_year", "2023-12-31T23:00", "2024-12-31T23:00"),
        ("last_year", "2022-12-31T23:00", "2023-12-31T23:00"),
    ],
)
def test_windows_are_the_zones_own(window: str, first: str, behind: str) -> None:
    at = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)  # 1 April in Amsterdam
    found = windows.pinned(window, at, "Europe/Amsterdam", None)
    assert [f"{each:%Y-%m-%dT%H:%M}" for each in found] == [first, behind]


def test_every_window_makes_a_spec_with_its_bounds(admin: User, acme: Organization) -> None:
    for window in windows.WINDOWS:
        schedule = make_schedule(admin, acme, window=window, timezone="Asia/Kathmandu")
        at = datetime(2024, 3, 1, 12, tzinfo=UTC)
        spec = runs.wish_of(schedule, at).spec
        assert (spec.created_from, spec.created_before) == windows.pinned(window, at, "Asia/Kathmandu", None), window


# -- Keeping -------------------------------------------------------------------------------------------------------
def test_coming_runs(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, datetime(2030, 10, 26, 2, 30), timezone="Europe/Amsterdam")
    shown = [(f"{run.local:%d %H:%M}", bool(run.change)) for run in keeping.next_runs(schedule, 5)]
    assert shown == [("26 02:30", False), ("27 02:30", True), ("28 02:30", True), ("29 02:30", False), ("30 02:30", False)]
    pausing.pause(admin, schedule)
    assert keeping.next_runs(fresh(schedule)) == []
    assert [len(keeping.next_runs(make_schedule(admin, acme, kind=kind))) for kind in ("once", "monthly")] == [1, 5]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "hourly"}, "kind"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"kind": "cron", "cron": "61 * * * *"}, "cron"),
        ({"cron": "0 * * * *"}, "cron"),
        ({"missed": "some"}, "missed"),
        ({"overlap": "both"}, "overlap"),
        ({"window": "soon"}, "window"),
        ({"dataset": "secrets"}, "dataset"),
        ({"format": "papyrus"}, "format"),
        ({"options": {"gurad": "none"}}, "options.gurad"),
        ({"columns": ["none such"]}, "columns[0].key"),
        ({"filter": {"column": "x", "op": "is", "value": "y"}}, "filter.column"),
        ({"rules": {"join": "all", "rules": []}}, "rules.rules"),
        ({"description": "x" * 3000}, "description"),
        ({"name": " "}, "name"),
        ({"first_run": datetime(1969, 1, 1)}, "first_run"),
        ({"first_run": datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "timezone": "Asia/Kathmandu"}, "first_run"),
    ],
)
def test_what_a_job_would_not_take_is_refused_at_once(admin: User, acme: Organization, values: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make_schedule(admin, acme, **values)
    assert field in {error.field for error in refusal.value.fields}
    assert not ExportSchedule.objects.exists()


def test_rights(admin: User, editor: User, viewer: User, outsider: User, acme: Organization, globex: Organization) -> None:
    for user, error in ((editor, Forbidden), (viewer, Forbidden), (outsider, NotFound)):
        with pytest.raises(error):
            make_schedule(user, acme)
    assert not ExportSchedule.objects.exists()
    schedule = make_schedule(admin, acme)
    before = ExportSchedule.objects.values().get()
    for user, error in ((editor, Forbidden), (outsider, NotFound)):
        for call in (keeping.delete, pausing.pause, pausing.take_over, pausing.resume):
            with pytest.raises(error):
                call(user, schedule)
        with pytest.raises(error):
            keeping.update(user, schedule, "x", now(), {"kind": "daily", "timezone": "UTC"})
    assert ExportSchedule.objects.values().get() == before
    with pytest.raises(NotFound):
        firing.execute(outsider, schedule)
    with pytest.raises(Forbidden):
        firing.execute(viewer, schedule)
    foreign = ExportConfig.objects.create(organization=globex, name="x", columns=["id"])
    with pytest.raises(NotFound):
        make_schedule(admin, acme, config=foreign)


def test_what_schedules_use_cannot_be_deleted(admin: User, acme: Organization) -> None:
    config = configs.create(admin, acme, {"name": "short", "columns": ["id", "title"]})
    segment = segments.create(admin, acme, "open", {"index": "tasks", **RULES})
    schedule = make_schedule(admin, acme, config=config, segment=segment)
    spec = runs.wish_of(schedule, now()).spec
    assert (spec.config, spec.titles) == ("short", ["id", "title"])
    assert spec.filter == {"all": [{"column": "status", "op": "is", "value": "none"}]}
    with pytest.raises(Conflict, match="used by schedule nightly") as refusal:
        configs.delete(admin, config)
    assert refusal.value.code == "config_in_use"
    with pytest.raises(Conflict) as refusal:
        segments.delete(admin, segment)
    assert refusal.value.code == "in_use"
    assert (ExportConfig.objects.count(), acme.segments.count()) == (1, 1)
    keeping.delete(admin, schedule)
    configs.delete(admin, config)
    segments.delete(admin, segment)
    make_schedule(admin, acme, config=configs.create(admin, acme, {"name": "short", "columns": ["id"]}))
    Task.objects.filter(organization=acme).delete()
    Member.objects.filter(organization=acme).delete()
    acme.delete()  # with all that it has
    assert not ExportSchedule.objects.exists()


def test_a_month_keeps_its_day_when_it_is_saved_as_february_shows_it(admin: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme, datetime(2031, 1, 31, 9), kind="monthly")
    leap = datetime(2031, 2, 28, 9, tzinfo=UTC)
    ExportSchedule.objects.filter(pk=schedule.pk).update(next_run_at=leap)
    changed = keeping.update(admin, keeping.get(admin, schedule.pk), "other name", leap, {"kind": "monthly", "timezone": "UTC"})
    assert (changed.name, changed.version, changed.next_run_at) == ("other name", 2, leap)
    assert [f"{run.local:%d}" for run in itertools.islice(keeping.next_runs(changed, 3), 3)] == ["28", "31", "30"]
    moved = keeping.update(admin, changed, "other name", datetime(2031, 2, 27, 9), {"kind": "monthly", "timezone": "UTC"})
    assert [f"{run.local:%d}" for run in keeping.next_runs(moved, 3)] == ["27", "27", "27"]
    with pytest.raises(Conflict, match="version 3"):
        keeping.update(admin, moved, "x", leap, {"kind": "monthly", "timezone": "UTC"}, version=1)


def test_by_hand_moves_nothing_and_never_runs_twice_at_once(admin: User, editor: User, acme: Organization) -> None:
    schedule = make_schedule(admin, acme)
    before = fresh(schedule).next_run_at
    run = firing.execute(editor, schedule)
    run.job.refresh_from_db()
    assert (run.job.created_by, run.job.status, fresh(schedule).next_run_at) == (editor, "queued", before)
    with pytest.raises(Conflict, match="running already"):
        firing.execute(admin, schedule)
    end_jobs(schedule, "failed", "x")
    settling.wait_for(run, 5)
    settling.settle(schedule.pk)
    assert (outcomes(schedule), fresh(schedule).failures) == (["failed"], 0)
    run = firing.execute(editor, schedule)
    assert run.job
    jobs.cancel(editor, run.job)
    ExportJob.objects.filter(pk=run.job.pk).delete()
    assert settling.settle() == 1
    assert schedule.firings.first().detail == "its job was removed"


@pytest.mark.django_db(transaction=True)
def test_since_last_leaves_no_row_out_that_is_committed_after_its_run(admin: User, acme: Organization) -> None:
    def created() -> set[str | None]:
        spec = Spec.from_json(schedule.firings.first().job.spec)
        return set(Task.objects.filter(created_at__gte=spec.created_from, created_at__lt=spec.created_before).values_list("external_id", flat=True))

    schedule = make_schedule(admin, acme, window="since_last")
    written, committed = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            Task.objects.create(organization=acme, external_id="slow", title="slow")
            written.set()
            # On SQLite nobody else writes meanwhile, so that the run waits for this one.
            committed.wait(0.3 if connection.vendor == "sqlite" else 30)
        connection.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert written.wait(30)
    first = firing.execute(admin, schedule)
    seen = created()
    end_jobs(schedule)
    settling.settle()
    committed.set()
    writer.join()
    assert seen == (set() if connection.vendor == "postgresql" else {"slow"})
    delivered = schedule.firings.get().window_until
    assert delivered
    assert (delivered < first.intended_at) == (connection.vendor == "postgresql")
    make_tasks(acme, 1)
    firing.execute(admin, schedule)
    assert seen | created() == {"slow", "1"}
    assert "slow" not in seen & created()
