"""Runs of schedules: the tick makes their jobs, and afterwards takes down how they ended.

A run's row is unique by (schedule, intended time), and the schedule's next time is advanced in the same short transaction, under
a lock that a second ticker passes by: no run is made twice, and one broken schedule stops no other.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from exports import sources
from exports.formats import FORMATS
from exports.models import ExportSchedule, Firing, Kind, Missed, Outcome, Overlap, Trigger
from exports.services import jobs, segments, specs
from exports.services.schedules import recurrence, windows
from exports.sources import TooSlow
from exports.states import ENDED, JobStatus
from taskexport.errors import AppError, Conflict
from taskexport.logs import where
from tasks.models import User

log = logging.getLogger(__name__)

ON_TIME = timedelta(minutes=5)  # a tick comes each minute; a run that is made later than this is late
MOST_CAUGHT_UP = 100  # runs that the policy `all` makes up for at once
MOST_LISTED = 100  # missed times that get a row of their own
MOST_COUNTED = 2000  # missed times that are looked at
MOST_WAITING = 10  # runs of a schedule that wait for an earlier one
MOST_FAILURES = 5  # in a row, then the schedule is paused
DUE_AT_ONCE = 1000
FIRING_SECONDS = 100  # of a tick; what is still due then is the next tick's
WAIT_STEP_SECONDS = 0.2
EMPTY_SECONDS = 5.0  # looking for a first row; a table that takes longer is exported
OPEN = frozenset(JobStatus) - ENDED


# -- What a run would be -------------------------------------------------------------------------------------------
def rule_of(schedule: ExportSchedule) -> recurrence.Rule:
    """When the schedule runs."""
    return recurrence.Rule(schedule.kind, schedule.timezone, datetime.fromisoformat(schedule.starts_on_clock), schedule.cron)


def next_after(schedule: ExportSchedule, at: datetime) -> datetime | None:
    """The schedule's next time after this one; None where it has ended."""
    if schedule.kind == Kind.ONCE:
        return None
    found = next(recurrence.times(rule_of(schedule), at), None)
    return None if found is None or (schedule.ends_at and found > schedule.ends_at) else found


def may_run(schedule: ExportSchedule) -> bool:
    """Whether the owner is still somebody who may make its jobs."""
    try:
        if schedule.owner is None:
            return False
        jobs.require_create(schedule.owner, schedule.organization, wish_of(schedule, datetime.now(UTC)).spec)
    except AppError:
        return False
    return True


def wish_of(schedule: ExportSchedule, at: datetime) -> specs.Wish:
    """What a run at this time exports, all that is relative pinned to it in the schedule's zone. Raises Invalid."""
    delivered = None
    if schedule.window == windows.SINCE_LAST and schedule.pk:
        done = schedule.firings.filter(Q(outcome__in=[Outcome.DONE, Outcome.LATE]) | Q(job__status=JobStatus.DONE), window_until__isnull=False)
        delivered = done.order_by("-window_until").values_list("window_until", flat=True).first()
    values: dict[str, Any] = {
        "org_name": schedule.organization.name,
        "name": schedule.name,
        "type": "custom",
        **windows.as_bounds(*windows.pinned(schedule.window, at, schedule.timezone, delivered)),
        "dataset": schedule.dataset,
        "format": schedule.format,
        "options": schedule.options,
        "timezone": schedule.timezone,
        **({"columns": schedule.columns} if schedule.columns is not None else {}),
        **({"filter": schedule.filter} if schedule.filter is not None else {}),
    }
    segment = segments.definition(schedule.segment) if schedule.segment else schedule.rules
    wish = specs.make(values, schedule.config, segment=segment, now=at)
    return replace(wish, spec=replace(wish.spec, stem=f"{schedule.stem}-{schedule.pk}" if schedule.stem else ""))


def _is_empty(schedule: ExportSchedule, wish: specs.Wish) -> bool:
    query = sources.first(sources.compile_query(wish.spec, [schedule.organization_id]), 1)
    with sources.snapshot(FORMATS[wish.spec.format].style(wish.spec)) as snapshot:
        try:
            with snapshot.within(EMPTY_SECONDS):
                return not snapshot.count(query)
        except TooSlow:
            return False


# -- By the tick ---------------------------------------------------------------------------------------------------
def fire_due() -> int:
    """Makes the jobs of all schedules whose time has come, each on its own. How many."""
    due = ExportSchedule.objects.filter(next_run_at__lte=Now(), paused_reason="").order_by("next_run_at", "pk")
    until, made = time.monotonic() + FIRING_SECONDS, 0
    for pk in list(due.values_list("pk", flat=True)[:DUE_AT_ONCE]):
        if time.monotonic() > until:
            break
        made += _apart(_fire, pk)
    return made


def _apart(unit: Any, pk: int) -> int:
    """Does one schedule's work; whatever breaks it pauses it, with its reason, and no other."""
    try:
        return int(unit(pk))
    except (OperationalError, InterfaceError) as error:  # the database's fault, not the schedule's: the next tick tries again
        log.warning("schedule not fired", extra={"schedule": pk, "error": type(error).__name__})
    except AppError as error:
        _disable(pk, "owner_lost" if error.code in {"owner_lost", "forbidden", "not_found"} else "broken", error.message)
    except Exception as error:
        log.warning("schedule is broken", extra={"schedule": pk, "where": where(error)})
        _disable(pk, "broken", f"An error of ours ({type(error).__name__}). It is in the log under this schedule's id.")
    return 0


def _disable(pk: int, reason: str, detail: str) -> None:
    with transaction.atomic():
        schedule = ExportSchedule.objects.select_for_update(no_key=True).filter(pk=pk, paused_reason="").first()
        if schedule is None:
            return
        log.warning("schedule paused", extra={"schedule": pk, "reason": reason})
        if schedule.next_run_at is not None:
            values = {"outcome": Outcome.FAILED, "detail": detail}
            Firing.objects.get_or_create(schedule=schedule, intended_at=schedule.next_run_at, defaults=values)
        ExportSchedule.objects.filter(pk=pk).update(paused_reason=reason, paused_detail=detail, last_outcome=Outcome.FAILED, updated_at=Now())


@dataclass(frozen=True)
class _Due:
    """What is to be done for a schedule whose time has come."""

    runs: list[datetime]
    missed: list[datetime]
    next_run_at: datetime | None


def _due(schedule: ExportSchedule, now: datetime) -> _Due:
    assert schedule.next_run_at is not None  # noqa: S101 - only such are due
    first = schedule.next_run_at
    # What was past when somebody asked for it runs once, as of then.
    times = [max(first, schedule.armed_at)]
    if schedule.kind != Kind.ONCE:
        times += _between(schedule, times[0], now)
    if schedule.missed == Missed.ALL:
        runs = times[-MOST_CAUGHT_UP:]
    elif schedule.missed == Missed.LATEST or now - times[-1] <= ON_TIME or first < schedule.armed_at == times[-1]:
        runs = times[-1:]
    else:
        runs = []
    return _Due(runs, times[: len(times) - len(runs)], next_after(schedule, now))


def _between(schedule: ExportSchedule, after: datetime, now: datetime) -> list[datetime]:
    """The schedule's times after one and up to now; of very many the newest."""

    def until_now(start: datetime) -> list[datetime]:
        times = itertools.takewhile(
            lambda at: at <= now and not (schedule.ends_at and at > schedule.ends_at), recurrence.times(rule_of(schedule), start)
        )
        return list(itertools.islice(times, MOST_COUNTED))

    found = until_now(after)
    # No schedule runs more than once a minute.
    return found if len(found) < MOST_COUNTED else until_now(now - timedelta(minutes=MOST_COUNTED - 1))


def _fire(pk: int) -> int:
    schedule = (
        ExportSchedule.objects.select_related("organization", "owner", "config", "segment", "segment__organization")
        .annotate(clock=Now())
        .filter(pk=pk, paused_reason="", next_run_at__lte=Now())
        .first()
    )
    if schedule is None:
        return 0
    now: datetime = schedule.clock
    due = _due(schedule, now)
    planned = []
    for at in due.runs:  # outside of the transaction: a look at the rows may take its time
        wish = wish_of(schedule, at)
        planned.append((at, wish, schedule.skip_when_empty and _is_empty(schedule, wish)))
    owner = _owner(schedule, [wish for _, wish, _ in planned])
    with transaction.atomic():
        mine = ExportSchedule.objects.filter(pk=pk, paused_reason="", next_run_at=schedule.next_run_at, version=schedule.version)
        if not list(mine.select_for_update(skip_locked=True, no_key=True).values_list("pk")):
            return 0  # another ticker has it, or it was changed meanwhile
        _list_missed(schedule, due.missed)
        made = sum(_run(schedule, owner, run) for run in _with_overlaps(schedule, planned))
        ExportSchedule.objects.filter(pk=pk).update(next_run_at=due.next_run_at)
    return made


def _owner(schedule: ExportSchedule, wishes: list[specs.Wish]) -> User:
    owner = schedule.owner
    for wish in wishes:
        try:
            if owner is None:
                raise AppError("", code="owner_lost")
            jobs.require_create(owner, schedule.organization, wish.spec)
        except AppError:
            message = "Whoever owns this task may no longer export from this organization. An admin can take it over by saving it."
            raise AppError(message, code="owner_lost") from None
    return owner  # type: ignore[return-value]


def _list_missed(schedule: ExportSchedule, missed: list[datetime]) -> None:
    listed = [Firing(schedule=schedule, intended_at=at, outcome=Outcome.MISSED, detail="nothing ran at that time") for at in missed[-MOST_LISTED:]]
    if len(missed) > len(listed):
        listed[0].detail = f"nothing ran at that time, nor at {len(missed) - len(listed)} times and more before it"
    Firing.objects.bulk_create(listed, ignore_conflicts=True)
    if missed:
        ExportSchedule.objects.filter(pk=schedule.pk).update(last_outcome=Outcome.MISSED)


@dataclass(frozen=True)
class _Planned:
    at: datetime
    wish: specs.Wish
    skip: str = ""  # why not
    waits: bool = False


def _with_overlaps(schedule: ExportSchedule, planned: list[tuple[datetime, specs.Wish, bool]]) -> list[_Planned]:
    """The runs with what an earlier one, still going on, does to them. Those that are made up for together do not count."""
    open_before = schedule.firings.filter(outcome="", job__status__in=OPEN).count()
    found: list[_Planned] = []
    ahead = open_before
    for at, wish, is_empty in planned:
        if is_empty:
            found.append(_Planned(at, wish, "no rows"))
        elif open_before and schedule.overlap == Overlap.SKIP:
            found.append(_Planned(at, wish, "the run before was still going on"))
        elif ahead > MOST_WAITING and schedule.overlap == Overlap.QUEUE:
            found.append(_Planned(at, wish, f"{MOST_WAITING} runs were waiting already"))
        else:
            found.append(_Planned(at, wish, waits=bool(ahead) and schedule.overlap == Overlap.QUEUE))
            ahead += 1
    return found


def _run(schedule: ExportSchedule, owner: User, run: _Planned) -> int:
    firing, is_new = Firing.objects.get_or_create(
        schedule=schedule, intended_at=run.at, defaults={"outcome": Outcome.SKIPPED if run.skip else "", "detail": run.skip}
    )
    if not is_new:
        return 0
    if run.skip:
        ExportSchedule.objects.filter(pk=schedule.pk).update(last_outcome=Outcome.SKIPPED)
        return 0
    _make_job(schedule, owner, firing, run.wish, start=not run.waits)
    return 1


def _make_job(schedule: ExportSchedule, owner: User, firing: Firing, wish: specs.Wish, *, start: bool) -> None:
    assert wish.spec.created_before  # noqa: S101 - every window has an end
    job = jobs.create(owner, schedule.organization, wish, trigger=Trigger.SCHEDULE)
    if start:
        jobs.start(owner, job)
    Firing.objects.filter(pk=firing.pk).update(job=job, window_until=min(wish.spec.created_before, firing.intended_at))
    firing.job = job


# -- By hand -------------------------------------------------------------------------------------------------------
def execute(user: User, schedule: ExportSchedule) -> Firing:
    """Runs the schedule now, as the user's own job, whatever its times; they stay as they are. Raises Conflict while it runs, Invalid,
    Forbidden, NotFound."""
    now = datetime.now(UTC)
    wish = wish_of(schedule, now)
    jobs.require_create(user, schedule.organization, wish.spec)
    with transaction.atomic():
        list(ExportSchedule.objects.select_for_update(no_key=True).filter(pk=schedule.pk).values_list("pk"))
        if schedule.firings.filter(outcome="", job__status__in=OPEN).exists():
            raise Conflict("The task is running already.", code="in_progress")
        firing = Firing.objects.create(schedule=schedule, intended_at=now, by_hand=True)
        _make_job(schedule, user, firing, wish, start=True)
    return firing


def wait_for(firing: Firing, seconds: float) -> None:
    """Returns once the run has ended, or after so many seconds."""
    until = time.monotonic() + seconds
    while not Firing.objects.filter(Q(job__status__in=ENDED) | Q(job=None), pk=firing.pk).exists():
        if time.monotonic() >= until:
            return
        time.sleep(WAIT_STEP_SECONDS)


# -- Afterwards ----------------------------------------------------------------------------------------------------
def settle(schedule_id: int | None = None) -> int:
    """Takes down how the runs (of this schedule) ended whose jobs have, and starts those that waited for them. How many ended."""
    open_runs = Firing.objects.filter(outcome="").filter(Q(job__status__in=ENDED) | Q(job=None))
    if schedule_id is not None:
        open_runs = open_runs.filter(schedule=schedule_id)
    ended = list(open_runs.select_related("job", "schedule").order_by("pk")[:DUE_AT_ONCE])
    settled = sum(_settle(firing) for firing in ended)
    _start_waiting(schedule_id)
    return settled


def _settle(firing: Firing) -> int:
    status = firing.job.status if firing.job else None
    if status == JobStatus.DONE:
        is_late = not firing.by_hand and firing.fired_at - firing.intended_at > ON_TIME
        outcome, detail = (Outcome.LATE if is_late else Outcome.DONE), ""
    else:
        outcome, detail = Outcome.FAILED, firing.job.error if firing.job else "its job was removed"
    with transaction.atomic():
        rows = ExportSchedule.objects.filter(pk=firing.schedule_id)
        list(rows.select_for_update(no_key=True).values_list("pk"))  # the schedule before its runs, as everywhere
        if not Firing.objects.filter(pk=firing.pk, outcome="").update(outcome=outcome, detail=detail):
            return 0
        if status == JobStatus.DONE:
            rows.update(last_outcome=outcome, result_job=firing.job, failures=0)
        else:
            # What somebody cancelled or ran by hand says nothing about the next run.
            counts = status == JobStatus.FAILED and not firing.by_hand
            rows.update(last_outcome=outcome, failures=F("failures") + int(counts))
            why = f"{MOST_FAILURES} runs in a row have failed, the last one so: {detail}"
            rows.filter(failures__gte=MOST_FAILURES, paused_reason="").update(paused_reason="failures", paused_detail=why, updated_at=Now())
    return 1


def _start_waiting(schedule_id: int | None) -> None:
    """Starts the oldest waiting run of each schedule of which none is going on."""
    going_on = Firing.objects.filter(schedule=OuterRef("schedule"), outcome="", job__status__in=OPEN - {JobStatus.NEW})
    waiting: QuerySet[Firing] = Firing.objects.filter(~Exists(going_on), outcome="", job__status=JobStatus.NEW, job__trigger=Trigger.SCHEDULE)
    if schedule_id is not None:
        waiting = waiting.filter(schedule=schedule_id)
    started = set()
    for firing in waiting.select_related("job", "job__created_by").order_by("pk")[:DUE_AT_ONCE]:
        if firing.schedule_id in started or firing.job is None or firing.job.created_by is None:
            continue
        started.add(firing.schedule_id)
        try:
            jobs.start(firing.job.created_by, firing.job)
        except AppError as error:
            try:
                jobs.refuse(firing.job, error.message)
            except AppError:  # somebody else has moved it
                log.info("run not started", extra={"job": str(firing.job.pk), "code": error.code})
