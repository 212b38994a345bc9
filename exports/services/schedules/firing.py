"""Runs of schedules: the tick makes their jobs, or a person does.

A run's row is unique by (schedule, intended time), and the schedule's next time is advanced in the same short transaction, under
a lock that a second ticker passes by: no run is made twice, and one broken schedule stops no other.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from exports.models import ExportSchedule, Firing, Kind, Missed, Operation, Outcome, Overlap, Pause, Trigger
from exports.services import jobs, limits, specs
from exports.services.runner import DATABASE_FAULTS
from exports.services.schedules import pausing, runs
from exports.services.schedules.settling import ON_TIME, OPEN
from taskexport.errors import AppError, Conflict
from taskexport.logs import where
from tasks.models import User

log = logging.getLogger(__name__)

MOST_CAUGHT_UP = 100  # runs that the policy `all` makes up for at once
MOST_LISTED = 100  # missed times that get a row of their own
MOST_COUNTED = 2000  # missed times that are looked at
MOST_WAITING = 10  # runs of a schedule that wait for an earlier one
DUE_AT_ONCE = 1000
FIRING_SECONDS = 100  # of a tick; what is still due then is the next tick's
EMPTY_SECONDS = 5.0  # of a schedule, looking for first rows; where that takes longer it is exported


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
    except DATABASE_FAULTS as error:  # the database's fault, not the schedule's: the next tick tries again
        log.warning("schedule not fired", extra={"schedule": pk, "error": type(error).__name__})
    except AppError as error:
        _disable(pk, Pause.OWNER_LOST if error.code in {"owner_lost", "forbidden", "not_found"} else Pause.BROKEN, error.message)
    except Exception as error:
        log.warning("schedule is broken", extra={"schedule": pk, "where": where(error)})
        _disable(pk, Pause.BROKEN, f"An error of ours ({type(error).__name__}). It is in the log under this schedule's id.")
    return 0


def _disable(pk: int, reason: Pause, detail: str) -> None:
    with transaction.atomic():
        schedule = ExportSchedule.objects.select_for_update(no_key=True).filter(pk=pk, paused_reason="").first()
        if schedule is None:
            return
        for at in runs.missing(schedule, [schedule.next_run_at] if schedule.next_run_at else []):
            runs.write(schedule, [Firing(schedule=schedule, intended_at=at, outcome=Outcome.FAILED, detail=detail)])
        ExportSchedule.objects.filter(pk=pk).update(last_outcome=Outcome.FAILED)
        pausing.by_itself(schedule, reason, detail)


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
        chosen = times[-MOST_CAUGHT_UP:]
    elif schedule.missed == Missed.LATEST or now - times[-1] <= ON_TIME or first < schedule.armed_at == times[-1]:
        chosen = times[-1:]
    else:
        chosen = []
    return _Due(chosen, times[: len(times) - len(chosen)], runs.next_after(schedule, now))


def _between(schedule: ExportSchedule, after: datetime, now: datetime) -> list[datetime]:
    """The schedule's times after one and up to now; of very many the newest."""

    def until_now(start: datetime) -> list[datetime]:
        return list(itertools.islice(itertools.takewhile(lambda at: at <= now, runs.following(schedule, start)), MOST_COUNTED))

    found = until_now(after)
    # No schedule runs more than once a minute.
    return found if len(found) < MOST_COUNTED else until_now(now - timedelta(minutes=MOST_COUNTED - 1))


def _fire(pk: int) -> int:
    schedule = (
        ExportSchedule.objects.select_related("organization", "owner", "config__segment", "segment__organization")
        .annotate(clock=Now())
        .filter(pk=pk, paused_reason="", next_run_at__lte=Now())
        .first()
    )
    if schedule is None:
        return 0
    now: datetime = schedule.clock
    owner, due = _owner(schedule), _due(schedule, now)
    planned, until = [], time.monotonic() + EMPTY_SECONDS
    for at in due.runs:  # outside of the transaction: a look at the rows may take its time
        wish = runs.wish_of(schedule, at)
        planned.append((at, wish, schedule.skip_when_empty and runs.is_empty(schedule, wish, until)))
    with transaction.atomic():
        mine = ExportSchedule.objects.filter(pk=pk, paused_reason="", next_run_at=schedule.next_run_at, version=schedule.version)
        if not list(mine.select_for_update(skip_locked=True, no_key=True).values_list("pk")):
            return 0  # another ticker has it, or it was changed meanwhile
        _list_missed(schedule, due.missed)
        made = sum(_run(schedule, owner, run) for run in _with_overlaps(schedule, planned))
        ExportSchedule.objects.filter(pk=pk).update(next_run_at=due.next_run_at)
    return made


def _owner(schedule: ExportSchedule) -> User:
    if schedule.owner is None or not runs.may_run(schedule):
        message = "Whoever owns this task may no longer export from this organization. An admin can take it over by resuming or saving it."
        raise AppError(message, code="owner_lost")
    return schedule.owner


def _list_missed(schedule: ExportSchedule, missed: list[datetime]) -> None:
    listed = [
        Firing(schedule=schedule, intended_at=at, outcome=Outcome.MISSED, detail="nothing ran at that time")
        for at in runs.missing(schedule, missed[-MOST_LISTED:])
    ]
    if listed and len(missed) > MOST_LISTED:
        listed[0].detail = f"nothing ran at that time, nor at {len(missed) - MOST_LISTED} times and more before it"
    runs.write(schedule, listed)
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
    if not runs.missing(schedule, [run.at]):
        return 0
    firing = Firing(schedule=schedule, intended_at=run.at, outcome=Outcome.SKIPPED if run.skip else "", detail=run.skip)
    (operation,) = runs.write(schedule, [firing])
    if run.skip:
        ExportSchedule.objects.filter(pk=schedule.pk).update(last_outcome=Outcome.SKIPPED)
        return 0
    _make_job(schedule, owner, operation, run.wish, start=not run.waits)
    return 1


def _make_job(schedule: ExportSchedule, owner: User, operation: Operation, wish: specs.Wish, *, start: bool) -> None:
    """Makes the job of a new run, by the run's operation."""
    firing = operation.firing
    assert firing  # noqa: S101 - it is a run's
    assert wish.spec.created_before  # noqa: S101 - every window has an end
    job = jobs.create(owner, schedule.organization, wish, trigger=Trigger.SCHEDULE, parent=operation)
    firing.job, firing.window_until = job, min(wish.spec.created_before, firing.intended_at)
    firing.save(update_fields=["job", "window_until"])
    if start:
        jobs.start(owner, job)


# -- By hand -------------------------------------------------------------------------------------------------------
def execute(user: User, schedule: ExportSchedule) -> Firing:
    """Runs the schedule now, as the user's own job, whatever its times; they stay as they are. Raises Conflict while it runs, Invalid,
    QuotaFull, Forbidden, NotFound."""
    now = datetime.now(UTC)
    wish = runs.wish_of(schedule, now)
    jobs.require_create(user, schedule.organization, wish.spec)
    limits.require_room(schedule.organization)  # a person is told at once, where a run by its time waits
    with transaction.atomic():
        list(ExportSchedule.objects.select_for_update(no_key=True).filter(pk=schedule.pk).values_list("pk"))
        if schedule.firings.filter(outcome="", job__status__in=OPEN).exists():
            raise Conflict("The task is running already.", code="in_progress")
        firing = Firing(schedule=schedule, intended_at=now, by_hand=True)
        (operation,) = runs.write(schedule, [firing], user)
        _make_job(schedule, user, operation, wish, start=True)
    return firing
