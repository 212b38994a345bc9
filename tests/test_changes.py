"""Change exports: each delivered file says what became of the rows of the one before it."""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import given, settings
from hypothesis import strategies as st

from exports import storage, worker
from exports.formats import FORMATS
from exports.models import ChangeBase, ExportConfig, ExportFile, ExportJob, ExportSchedule, JobAttempt, Litter, TickLease
from exports.services import changes, configs, jobs, receipts, runner
from exports.services.schedules import keeping, runs
from exports.services.supervising import Pulse
from exports.sources import digests
from taskexport.errors import Conflict, Forbidden, Invalid
from tasks.demo import make_tasks as make_demo_tasks
from tasks.models import Case, DataRecord, Flow, Organization, Subject, Task, User
from tests.changing import Rows, applied, deliver, queue, records, said, whole
from tests.fixtures import QCluster
from tests.making import at_once, grow_tasks, make_tasks
from tests.scheduling import make_schedule
from tests.test_million import PEAK_MB, peak_mb
from tests.test_properties import DEV, LONG

pytestmark = pytest.mark.django_db(transaction=True)
PLAIN: dict[str, Any] = {"changes_only": True, "options": {"archive": "none"}}
COUNTS = ("added", "changed", "left", "deleted")


@pytest.fixture(autouse=True)
def _storage_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.FILES_ROOT, settings.SPOOL_ROOT = tmp_path / "files", tmp_path / "spool"


def make(user: User, organization: Organization, **values: Any) -> ExportSchedule:
    return make_schedule(user, organization, **{**PLAIN, **values})


def counts(file: ExportFile) -> tuple[Any, ...]:
    return tuple(said(file)[word] for word in COUNTS)


def stored(folder: str = "") -> list[str]:
    return [key for key, _ in storage.walk() if key.startswith(folder)]


# -- What a file says ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("format_name", [*FORMATS])
def test_a_file_says_what_became_of_the_rows_since_the_last_one(admin: User, acme: Organization, format_name: str) -> None:
    make_tasks(acme, 6)
    options = {"archive": "none"} if format_name == "csv" else {}
    filter_ = {"column": "status", "op": "is_not", "value": "complete"}
    schedule = make(admin, acme, format=format_name, options=options, filter=filter_, columns=["reference", "id", "title", "status", "due_at"])
    first = deliver(schedule)
    state = applied({}, first)
    assert said(first) == {
        "mode": "full",
        "why_full": "no_base",
        "base": None,
        "rows_compared": 6,
        **dict(zip(COUNTS, (6, 0, 0, 0), strict=True)),
    }
    assert state == whole(schedule)
    one, two, three, four, five, _ = Task.objects.order_by("pk")
    Task.objects.filter(pk=one.pk).update(title="=renamed", due_at=datetime(2024, 2, 29, 12, 30, tzinfo=UTC))
    Task.objects.filter(pk=two.pk).update(status="complete")
    Task.objects.filter(pk=three.pk).delete()
    Task.objects.filter(pk=four.pk).update(updated_at=Now())  # in no column of the file
    Task.objects.filter(pk=five.pk).update(title="Task 5")
    Task.objects.create(organization=acme, external_id="new", title='new, "and"\nlong', created_at=datetime(2001, 1, 1, tzinfo=UTC))
    Task.objects.create(organization=acme, external_id="done", title="done already", status="complete")
    second = deliver(schedule)
    assert [record["_change"] for record in records(second)] == ["deleted", "left", "changed", "added"]
    assert [int(record["id"]) for record in records(second)][:3] == [three.pk, two.pk, one.pk]
    state = applied(state, second)
    assert state == whole(schedule)
    base = said(second)["base"]
    assert (counts(second), said(second)["mode"], said(second)["why_full"], said(second)["rows_compared"]) == ((1, 1, 1, 1), "changes", None, 5)
    assert base == {"job": str(first.job_id), "snapshot_at": first.receipt["receipt"]["snapshot_at"], "rows": 6}
    assert (second.rows, second.receipt["receipt"]["rows_counted"], second.receipt["receipt"]["rows_written"]) == (4, 4, 4)
    assert receipts.verify(storage.disk._path(second.key), second.receipt) == []
    assert second.receipt["receipt"]["filter_in_words"].startswith("changes of tasks")
    assert second.job.events.get(kind="done").detail == "4 rows: 1 added, 1 changed, 1 left, 1 deleted"
    assert (f"{first.job_id}-task-export-full." in first.name, f"{second.job_id}-task-export-changes." in second.name) == (True, True)
    third = deliver(schedule)
    assert (counts(third), third.rows, applied(state, third)) == ((0, 0, 0, 0), 0, state)
    assert not list(Path(storage.spool_path("x")).parent.iterdir())


@pytest.mark.parametrize("dataset", ["cases", "subjects", "transactions"])
def test_every_dataset_has_changes(admin: User, acme: Organization, globex: Organization, dataset: str) -> None:
    case = Case.objects.create(organization=acme, name="case")

    def add(name: str, organization: Organization = acme) -> Any:
        if dataset == "cases":
            return Case.objects.create(organization=organization, name=name)
        if dataset == "subjects":
            return case.subjects.create(organization=organization, name=name)
        return DataRecord.objects.create(organization=organization, index="transactions", external_id=name, data={"amount": 1})

    rows = [add(name).pk for name in "abc"]
    model = DataRecord if dataset == "transactions" else Case if dataset == "cases" else Subject
    schedule = make(admin, acme, dataset=dataset)
    state = applied({}, deliver(schedule))
    model.objects.filter(pk=rows[0]).delete()
    Case.objects.filter(pk=rows[1]).update(name="renamed")
    case.subjects.filter(pk=rows[1]).update(name="renamed")
    DataRecord.objects.filter(pk=rows[1]).update(data={"amount": 2.5})
    model.objects.filter(pk=rows[2]).update(organization=globex)  # whose rows nobody here hears of
    add("d")
    file = deliver(schedule)
    assert counts(file) == (1, 1, 0, 2)
    assert applied(state, file) == whole(schedule)


def test_a_name_that_a_row_shows_of_another_one_is_a_change_too(admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    flow = Flow.objects.create(organization=acme, name="before")
    Task.objects.filter(external_id="1").update(flow=flow)
    schedule = make(admin, acme, columns=["id", "flow"])
    state = applied({}, deliver(schedule))
    Flow.objects.update(name="after")
    file = deliver(schedule)
    assert counts(file) == (0, 1, 0, 0)
    assert applied(state, file) == whole(schedule)


def test_without_the_column_id_one_is_added_and_its_titles_are_its_own(admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme, columns=["reference", {"key": "title", "title": "id"}])
    state = applied({}, deliver(schedule), "_id")
    Task.objects.filter(external_id="1").delete()
    file = deliver(schedule)
    assert list(records(file)[0]) == ["_change", "_id", "reference", "id"]
    assert sorted(applied(state, file, "_id")) == list(Task.objects.values_list("pk", flat=True))
    for title in ("_change", "_id"):
        with pytest.raises(Invalid, match="of its own") as refused:
            make(admin, acme, columns=["title", {"key": "reference", "title": title}])
        assert refused.value.fields[0].field == "columns[1].title"


def test_what_does_not_go_with_changes_is_refused(admin: User, acme: Organization) -> None:
    for field, values in (
        ("window", {"window": "since_last"}),
        ("skip_when_empty", {"skip_when_empty": True}),
        ("changes_only", {"missed": "all"}),
        ("changes_only", {"overlap": "queue"}),
        ("changes_only", {"changes_only": "yes"}),
    ):
        with pytest.raises(Invalid) as refused:
            make(admin, acme, **values)
        assert [error.field for error in refused.value.fields] == [field]
    assert not ExportSchedule.objects.exists()


# -- Whole again ---------------------------------------------------------------------------------------------------
def test_another_layout_is_a_whole_file_and_another_filter_is_not(admin: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    config = configs.create(admin, acme, {"name": "c", "columns": ["id", "title"]})
    schedule = make(admin, acme, config=config)
    deliver(schedule)
    ExportSchedule.objects.update(filter={"column": "reference", "op": "is", "value": "1"})
    assert counts(deliver(schedule)) == (0, 0, 2, 0)
    ExportSchedule.objects.update(filter=None)
    assert counts(deliver(schedule)) == (2, 0, 0, 0)
    ExportConfig.objects.update(columns=[{"key": "id", "title": "id"}, {"key": "title", "title": "Title"}], version=2)
    file = deliver(schedule)
    assert (said(file)["mode"], said(file)["why_full"], counts(file)) == ("full", "layout_changed", (3, 0, 0, 0))
    ExportConfig.objects.update(version=3)
    assert said(deliver(schedule))["mode"] == "changes"
    ExportSchedule.objects.update(timezone="Asia/Kathmandu")
    assert said(deliver(schedule))["why_full"] == "layout_changed"
    assert ChangeBase.objects.count() == 1


def test_reset_makes_the_next_run_whole(admin: User, editor: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    deliver(schedule)
    (old,) = stored("bases/")
    with pytest.raises(Forbidden):
        keeping.reset(editor, schedule)
    assert ChangeBase.objects.get().key == old
    keeping.reset(admin, schedule)
    keeping.reset(admin, schedule)
    worker.tick()
    assert stored("bases/") == []
    assert said(deliver(schedule))["why_full"] == "no_base"
    assert counts(deliver(schedule)) == (0, 0, 0, 0)
    with pytest.raises(Conflict, match="whole files"):
        keeping.reset(admin, make_schedule(admin, acme))


def test_a_schedule_that_exported_whole_files_meanwhile_begins_anew(admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    deliver(schedule)
    values = {"kind": "daily", "timezone": "UTC", "options": {"archive": "none"}}
    schedule = keeping.update(admin, schedule, "nightly", schedule.next_run_at, values)
    assert not ChangeBase.objects.exists()
    assert "changes" not in deliver(schedule).receipt["receipt"]
    schedule = keeping.update(admin, schedule, "nightly", schedule.next_run_at, {**values, "changes_only": True})
    assert said(deliver(schedule))["why_full"] == "no_base"
    keeping.update(admin, ExportSchedule.objects.get(), "renamed", schedule.next_run_at, {**values, "changes_only": True})
    assert ChangeBase.objects.exists()


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_a_base_that_is_not_what_was_stored_is_a_whole_file(admin: User, acme: Organization, damage: str) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    deliver(schedule)
    path = storage.disk._path(stored("bases/")[0])
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: -digests.RECORD_BYTES] if damage == "cut" else os.urandom(path.stat().st_size))
    file = deliver(schedule)
    assert (said(file)["why_full"], counts(file)) == ("base_missing", (2, 0, 0, 0))
    assert counts(deliver(schedule)) == (0, 0, 0, 0)


# -- When the base moves -------------------------------------------------------------------------------------------
def test_of_two_runs_at_once_one_is_published_and_the_other_compared_anew(admin: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    schedule = make(admin, acme)
    state = applied({}, deliver(schedule))
    Task.objects.filter(external_id="1").update(title="first edit")
    queue(schedule), queue(schedule)
    one, other = jobs.claim("w"), jobs.claim("w")
    assert one
    assert other
    made = runner.produce(one, Pulse())
    Task.objects.filter(external_id="2").delete()
    late = runner.produce(other, Pulse())
    jobs.publish(one, made.file, made.issues, base=made.base)
    with pytest.raises(changes.BaseMoved) as refused:
        jobs.publish(other, late.file, late.issues, base=late.base)
    assert runner.describe(refused.value)[::2] == ("base_moved", True)
    assert ChangeBase.objects.get().job_uuid == one.job.pk
    other.job.refresh_from_db()
    assert (other.job.status, ExportFile.objects.filter(job=other.job).exists()) == ("in progress", False)
    state = applied(state, ExportFile.objects.get(job=one.job))
    run_again(other)
    file = ExportFile.objects.get(job=other.job)
    assert (said(file)["base"]["job"], counts(file)) == (str(one.job.pk), (0, 0, 0, 1))
    assert applied(state, file) == whole(schedule)


def test_a_run_is_put_back_when_its_base_moves_and_then_delivers(admin: User, acme: Organization) -> None:
    make_tasks(acme, 3)
    schedule = make(admin, acme)
    state: Rows = {}
    last = None
    for number in range(4):
        Task.objects.filter(external_id="1").update(title=f"edit {number}")
        pair = [queue(schedule), queue(schedule)]
        claims = [claim for _ in pair if (claim := jobs.claim("w"))]
        at_once(*(lambda claim=claim: runner.run(claim) for claim in claims))
        while claim := _next():
            runner.run(claim)
        files = {said(file)["base"] and said(file)["base"]["job"]: file for file in ExportFile.objects.filter(job__in=pair)}
        assert len(files) == 2  # no two were compared with the same base
        for _ in pair:
            state = applied(state, files[last])
            last = str(files[last].job_id)
        assert state == whole(schedule)
    assert str(ChangeBase.objects.get().job_uuid) == last
    worker.tick()
    assert stored("bases/") == [ChangeBase.objects.get().key]


def run_again(lost: jobs.Claim) -> None:
    """Puts the job back, as a worker does that has lost its base, and runs it as whoever takes it out of the queue."""
    jobs.give_back(lost, "base_moved", "…", is_fault=True)
    claim = _next()
    assert claim
    assert claim.job == lost.job
    runner.run(claim)


def _next() -> jobs.Claim | None:
    ExportJob.objects.filter(status="queued").update(available_at=Now())
    return jobs.claim("w")


def test_a_run_that_dies_between_storing_and_publishing_moves_nothing(admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    state = applied({}, deliver(schedule))
    base = ChangeBase.objects.get().key
    Task.objects.filter(external_id="1").update(title="edited")
    job = queue(schedule)
    claim = jobs.claim("w")
    assert claim
    runner.produce(claim, Pulse())  # and its process is gone
    assert len(stored("bases/")) == 2
    assert ChangeBase.objects.get().key == base
    JobAttempt.objects.filter(job=job).update(beat_at=F("beat_at") - timedelta(hours=1))
    worker.tick()
    assert stored("bases/") == [base]
    again = _next()
    assert again
    assert again.job == job
    runner.run(again)
    file = ExportFile.objects.get(job=job)
    assert (file.attempt, counts(file)) == (2, (0, 1, 0, 0))
    assert applied(state, file) == whole(schedule)


@pytest.mark.parametrize("what", ["cancel", "reset", "delete"])
def test_a_run_that_is_overtaken_moves_nothing(admin: User, acme: Organization, what: str) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    deliver(schedule)
    job = queue(schedule)
    claim = jobs.claim("w")
    assert claim
    made = runner.produce(claim, Pulse())
    if what == "cancel":
        jobs.cancel(admin, job)
    elif what == "reset":
        keeping.reset(admin, schedule)
    else:
        keeping.delete(admin, schedule)
    before = list(ChangeBase.objects.values())
    with pytest.raises((Conflict, changes.BaseMoved)):
        jobs.publish(claim, made.file, made.issues, base=made.base)
    assert list(ChangeBase.objects.values()) == before
    assert not ExportFile.objects.filter(job=job).exists()
    if what == "delete":
        run_again(claim)
        job.refresh_from_db()
        assert (job.status, job.error_code) == ("failed", "schedule_gone")
    elif what == "reset":
        run_again(claim)
        assert said(ExportFile.objects.get(job=job))["why_full"] == "no_base"


# -- What is kept --------------------------------------------------------------------------------------------------
def test_the_base_outlives_its_file_and_its_job(admin: User, acme: Organization) -> None:
    make_tasks(acme, 2)
    schedule = make(admin, acme)
    first = deliver(schedule)
    ExportFile.objects.update(expires_at=Now() - timedelta(days=1))
    worker.tick()
    worker.tick()
    assert (stored("exports/"), len(stored("bases/"))) == ([], 1)
    second = deliver(schedule)
    assert (said(second)["base"]["job"], counts(second)) == (str(first.job_id), (0, 0, 0, 0))
    jobs.delete(admin, second.job)
    worker.tick()
    third = deliver(schedule)
    assert (said(third)["base"]["job"], len(stored("bases/"))) == (str(second.job_id), 2)
    worker.tick()
    assert stored("bases/") == [ChangeBase.objects.get().key]
    keeping.delete(admin, schedule)
    worker.tick()
    assert (stored("bases/"), Litter.objects.count()) == ([], 0)


def test_orphans_among_bases_are_swept_and_bases_are_not(admin: User, acme: Organization) -> None:
    make_tasks(acme, 1)
    deliver(make(admin, acme))
    (base,) = stored("bases/")
    lost = base.replace(base[-4:], "0000")
    storage.disk._path(lost).write_bytes(b"x")
    for key in (base, lost):
        os.utime(storage.disk._path(key), (1, 1))
    TickLease.objects.filter(name="orphans").delete()
    worker.tick()
    assert stored("bases/") == [base]


def test_a_file_of_changes_is_not_made_again(client_of: Any, admin: User, acme: Organization) -> None:
    make_tasks(acme, 1)
    file = deliver(make(admin, acme))
    client = client_of(admin)
    refused = client.post(f"/api/v1/export-jobs/{file.job_id}/again")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "changes_not_repeatable")
    assert "Reset" in refused.json()["message"]
    assert not jobs.may_make_again(admin, file.job)
    assert ExportJob.objects.count() == 1
    ExportFile.objects.update(expires_at=Now() - timedelta(days=1))
    explained = client.get(f"/api/v1/export-jobs/{file.job_id}/explain?task=1").json()
    assert (explained["included"], [reason["code"] for reason in explained["reasons"]]) == (True, ["meets_all", "changes_only"])
    gone = client.get(f"/api/v1/export-jobs/{file.job_id}/download")
    assert (gone.status_code, "Reset" in gone.json()["message"]) == (410, True)
    assert [job["id"] for job in client.get("/api/v1/export-jobs").json()["jobs"]] == [str(file.job_id)]


# -- In memory -----------------------------------------------------------------------------------------------------
def test_records_are_compared_whatever_their_blocks() -> None:
    def blocks(rows: dict[int, str], size: int) -> Any:
        lines = [f"{text}\t{row_id}\n".encode() for row_id, text in sorted(rows.items())]
        return digests.digested(lines[start : start + size] for start in range(0, len(lines), size))

    before = {row_id: str(row_id % 7) for row_id in range(1, 400) if row_id % 3}
    now = {row_id: str(row_id % 7 if row_id % 10 else row_id % 5) for row_id in range(50, 600) if row_id % 4}
    for ours, theirs in itertools.product((1, 7, 1000), repeat=2):
        found = list(digests.compared(blocks(now, ours), blocks(before, theirs)))
        ids = {name: [int.from_bytes(row_id) for each in found for row_id in getattr(each, name)] for name in ("added", "changed", "gone")}
        assert ids == {
            "added": sorted(now.keys() - before.keys()),
            "changed": sorted(row_id for row_id in now.keys() & before.keys() if now[row_id] != before[row_id]),
            "gone": sorted(before.keys() - now.keys()),
        }


@pytest.mark.long
@pytest.mark.serial
def test_300_000_rows_are_compared_in_flat_memory(admin: User, acme: Organization, qcluster: QCluster) -> None:
    make_demo_tasks(acme, 9375, seed=1)
    assert grow_tasks(acme, 5) == 300_000
    schedule = make(admin, acme)
    with qcluster("exports", EXPORT_WORKERS="1"):
        for number, expected in enumerate([(300_000, 0, 0, 0), (0, 0, 0, 0), (1, 150_000, 0, 30_000)]):
            if number == 2:
                first = Task.objects.order_by("pk").values_list("pk", flat=True)[0]
                Task.objects.filter(pk__gte=first + 270_000).delete()
                Task.objects.filter(pk__lt=first + 150_000).update(title="changed")
                make_tasks(acme, 1)
            job = queue(schedule)
            until = time.monotonic() + 120
            while time.monotonic() < until and not ExportJob.objects.filter(pk=job.pk, status__in=["done", "failed"]).exists():
                time.sleep(0.2)
            peak = peak_mb(int(JobAttempt.objects.get(job=job).worker.rpartition(":")[2]))
            job.refresh_from_db()
            assert (job.status, job.error, counts(job.file)) == ("done", "", expected)
            assert job.started_at
            assert job.finished_at
            print(f"{expected}: {(job.finished_at - job.started_at).total_seconds():.1f} s, {peak:.0f} MB at the peak")
            assert peak < PEAK_MB


# -- The property --------------------------------------------------------------------------------------------------
NUMBER = st.integers(0, 11)
EDIT = st.one_of(
    st.tuples(st.just("add"), NUMBER, st.sampled_from(["a", "=b", "c\nd"])),
    st.tuples(st.just("title"), NUMBER, st.sampled_from(["a", "=b", "e"])),
    st.tuples(st.just("status"), NUMBER, st.sampled_from(["none", "complete"])),
    st.tuples(st.just("delete"), NUMBER, st.none()),
    st.tuples(st.just("move"), NUMBER, st.none()),
)
# A step: edits that are seen by the run, whether edits are committed only after its snapshot, and who else runs.
STEP = st.tuples(st.lists(EDIT, max_size=6), st.lists(EDIT, max_size=3), st.sampled_from(["", "", "two", "reset", "crash"]))
SAME_TIME = datetime(2024, 2, 29, 12, tzinfo=UTC)


def edit(organization: Organization, elsewhere: Organization, what: str, number: int, value: Any) -> None:
    rows = Task.objects.filter(external_id=str(number))
    if what == "add" and not rows.exists():
        # As of long ago, and of the same moment as its siblings: whoever goes by times would not see it.
        Task.objects.create(organization=organization, external_id=str(number), title=value, created_at=SAME_TIME, status="none")
    elif what == "delete":
        rows.delete()
    elif what == "move":
        rows.update(organization=elsewhere)
    elif what in {"title", "status"}:
        rows.update(**{what: value}, updated_at=SAME_TIME)


def check_chain(steps: list[Any]) -> None:
    """Whatever is edited between runs, the files applied one after the other are the next whole file."""
    Task.objects.all().delete()
    ExportSchedule.objects.all().delete()
    ExportJob.objects.all().delete()
    organization, _ = Organization.objects.get_or_create(slug="any", defaults={"name": "Any"})
    elsewhere, _ = Organization.objects.get_or_create(slug="elsewhere", defaults={"name": "Elsewhere"})
    owner, _ = User.objects.get_or_create(email="root@example.com", is_superuser=True)
    schedule = make(owner, organization, columns=["id", "title", "status"], filter={"column": "status", "op": "is", "value": "none"})
    state: Rows = {}
    for early, late, event in steps:
        for change in early:
            edit(organization, elsewhere, *change)
        if event == "reset":
            keeping.reset(owner, schedule)
        expected = whole(schedule)
        claims = [claim for _ in range(2 if event == "two" else 1) if queue(schedule) and (claim := jobs.claim("w"))]
        made = [runner.produce(claim, Pulse()) for claim in claims]
        for change in late:  # committed while the runs go on, behind their snapshots
            edit(organization, elsewhere, *change)
        if event == "crash":
            jobs.cancel(owner, claims[0].job)
            continue
        jobs.publish(claims[0], made[0].file, made[0].issues, base=made[0].base)
        state = applied(state, made[0].file)
        assert state == expected
        if event == "two":
            with pytest.raises(changes.BaseMoved):
                jobs.publish(claims[1], made[1].file, made[1].issues, base=made[1].base)
            run_again(claims[1])
            state = applied(state, ExportFile.objects.get(job=claims[1].job))
            assert state == whole(schedule)
    assert applied(state, deliver(schedule)) == whole(schedule)


@settings(DEV, max_examples=10)
@given(st.lists(STEP, min_size=1, max_size=3))
def test_the_base_and_its_changes_are_the_next_whole_file(steps: list[Any]) -> None:
    check_chain(steps)


@pytest.mark.long
@settings(LONG, max_examples=100)
@given(st.lists(STEP, max_size=8))
def test_the_base_and_its_changes_are_the_next_whole_file_at_length(steps: list[Any]) -> None:
    check_chain(steps)


def test_the_spec_of_a_run_names_its_schedule(admin: User, acme: Organization) -> None:
    schedule = make(admin, acme)
    assert runs.wish_of(schedule, datetime.now(UTC)).spec.changes_of == schedule.pk
    assert runs.wish_of(make_schedule(admin, acme), datetime.now(UTC)).spec.changes_of is None
