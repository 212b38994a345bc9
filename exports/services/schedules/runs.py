"""What a run of a schedule would be: its time, its rows, its job."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from exports import filters, sources
from exports.datasets import DATASETS
from exports.formats import FORMATS
from exports.models import ExportSchedule, Firing, Kind, Operation, Outcome
from exports.services import configs, jobs, segments, specs
from exports.services.operations import recording
from exports.services.schedules import recurrence, windows
from exports.sources import TooSlow
from exports.states import JobStatus
from taskexport.errors import AppError, Invalid
from tasks import access
from tasks.models import User


def rule_of(schedule: ExportSchedule) -> recurrence.Rule:
    """When the schedule runs."""
    return recurrence.Rule(schedule.kind, schedule.timezone, datetime.fromisoformat(schedule.starts_on_clock), schedule.cron)


def following(schedule: ExportSchedule, at: datetime) -> Iterator[datetime]:
    """The times of a schedule that repeats, after this one and up to its end."""
    times = iter(()) if schedule.kind == Kind.ONCE else recurrence.times(rule_of(schedule), at)
    return itertools.takewhile(lambda found: not (schedule.ends_at and found > schedule.ends_at), times)


def next_after(schedule: ExportSchedule, at: datetime) -> datetime | None:
    """The schedule's next time after this one; None where it has ended."""
    return next(following(schedule, at), None)


def ahead(schedule: ExportSchedule) -> datetime | None:
    """Its next time that has not passed, of what runs once its time, as long as it has not run by it; None where it has ended."""
    if schedule.kind == Kind.ONCE:
        return schedule.next_run_at
    now = datetime.now(UTC)
    return schedule.next_run_at if schedule.next_run_at and schedule.next_run_at > now else next_after(schedule, now)


def may_run(schedule: ExportSchedule) -> bool:
    """Whether the owner is still somebody who may make its jobs."""
    return schedule.owner is not None and access.can(schedule.owner, jobs.needed(schedule.options), schedule.organization_id)


def wish_of(schedule: ExportSchedule, at: datetime) -> specs.Wish:
    """What a run at this time exports, all that is relative pinned to it in the schedule's zone. Raises Invalid."""
    delivered = None
    until = at
    if schedule.window == windows.SINCE_LAST and schedule.pk:
        done = schedule.firings.filter(Q(outcome__in=[Outcome.DONE, Outcome.LATE]) | Q(job__status=JobStatus.DONE), window_until__isnull=False)
        delivered = done.order_by("-window_until").values_list("window_until", flat=True).first()
        # What is still being written now would lie before this run's end and be seen by no run: the next one takes it.
        until = min(at, max(sources.settled_until() or at, delivered or windows.BEGINNING))
    values: dict[str, Any] = {
        "org_name": schedule.organization.name,
        "name": schedule.name,
        "type": "custom",
        **windows.as_bounds(*windows.pinned(schedule.window, until, schedule.timezone, delivered)),
        "dataset": schedule.dataset,
        "format": schedule.format,
        "options": schedule.options,
        "timezone": schedule.timezone,
        **({"columns": schedule.columns} if schedule.columns is not None else {}),
        **({"filter": schedule.filter} if schedule.filter is not None else {}),
    }
    if schedule.changes_only:
        values["changes_of"] = schedule.pk or 0  # 0: not saved yet, and only checked
    segment = segments.definition(schedule.segment) if schedule.segment else schedule.rules
    wish = specs.make(values, schedule.config, segment=segment, now=at)
    return replace(wish, spec=replace(wish.spec, stem=f"{schedule.stem}-{schedule.pk}" if schedule.stem else ""))


def in_words(schedule: ExportSchedule) -> str:
    """Which rows it takes, whatever its period, as part of a sentence; `all DATASET` where it takes all, and a word of what can't be read."""
    dataset, zone, parts = DATASETS.get(schedule.dataset), schedule.timezone, list[str]()
    try:
        if dataset is None:
            raise Invalid("There is no such dataset.")
        if schedule.config:
            parts.append(configs.in_words(schedule.config))
        if schedule.filter:
            parts.append(filters.in_words(schedule.filter, dataset))
        if schedule.segment:
            parts.append(f"{json.dumps(schedule.segment.name, ensure_ascii=False)}: {segments.in_words(segments.definition(schedule.segment), zone)}")
        if schedule.rules:
            parts.append(segments.in_words({"index": schedule.dataset, **schedule.rules}, zone))
    except (AppError, KeyError, TypeError, ValueError):
        return "conditions that can't be read any more; say them anew"
    parts = [part for part in parts if part]
    return " and ".join(f"({part})" for part in parts) if len(parts) > 1 else "".join(parts) or f"all {schedule.dataset}"


def is_empty(schedule: ExportSchedule, wish: specs.Wish, until: float) -> bool:
    """Whether it would export no row; False too where that isn't found by then, a time of `time.monotonic`."""
    if time.monotonic() >= until:
        return False
    query = sources.first(sources.compile_query(wish.spec, [schedule.organization_id]), 1)
    with sources.snapshot(FORMATS[wish.spec.format].style(wish.spec)) as snapshot:
        try:
            with snapshot.within(until - time.monotonic()):
                return not snapshot.count(query)
        except TooSlow:
            return False


def write(schedule: ExportSchedule, runs: list[Firing], user: User | None = None) -> list[Operation]:
    """Makes the rows of new runs, and their operations, the user's or the owner's; only under the schedule's lock. Their operations."""
    made = Firing.objects.bulk_create(runs)
    return recording.of_firings(schedule, made, user or schedule.owner)


def missing(schedule: ExportSchedule, times: list[datetime]) -> list[datetime]:
    """Those of the times that have no run yet."""
    present = set(schedule.firings.filter(intended_at__in=times).values_list("intended_at", flat=True))
    return [at for at in times if at not in present]
