"""One job's page: what it shows, and its buttons."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from exports.admin import curl, shown, timeline
from exports.admin.deliveries import shown as deliveries
from exports.datasets import Spec
from exports.models import Delivery, DeliveryKind, ExportJob, Runner
from exports.services import jobs, specs
from exports.states import SOURCES, JobStatus
from taskexport.errors import AppError
from tasks import access
from tasks.access import Action
from tasks.models import User

EVENTS_SHOWN, DOWNLOADS_SHOWN, ISSUES_SHOWN, DELIVERIES_SHOWN = 500, 100, 100, 100


@dataclass(frozen=True)
class Verb:
    """A button that changes a job: its label, the service behind it, when it can do something, and what to say then."""

    label: str
    act: Callable[[User, ExportJob], None]
    fits: Callable[[ExportJob], bool]
    said: str


def _is(*statuses: JobStatus) -> Callable[[ExportJob], bool]:
    return lambda job: job.status in statuses


def _may_retry(job: ExportJob) -> bool:
    """A direct export ran once, in its request."""
    return job.status in {JobStatus.FAILED, JobStatus.CANCELLED} and job.runner != Runner.WEB


def _pinned(job: ExportJob) -> bool | None:
    """Whether its file is pinned; None where there is none to pin."""
    file = getattr(job, "file", None)
    return file.pinned if job.status == JobStatus.DONE and file is not None and file.is_present else None


# Those that many jobs may get at once come first.
MOVES: dict[str, Verb] = {
    "start": Verb("Start", jobs.start, _is(JobStatus.NEW), "It is queued; a worker takes it within seconds."),
    "cancel": Verb("Cancel", jobs.cancel, _is(*SOURCES[JobStatus.CANCELLED]), "It is cancelled; a worker that is at it stops within seconds."),
    "retry": Verb("Retry", jobs.retry, _may_retry, "It is queued once more."),
}
VERBS: dict[str, Verb] = MOVES | {
    "pin": Verb("Pin", jobs.pin, lambda job: _pinned(job) is False, "The file is kept past its expiry, until somebody unpins it."),
    "unpin": Verb("Unpin", jobs.unpin, lambda job: _pinned(job) is True, "The file expires at its time again."),
}


def context(user: Any, job: Any) -> dict[str, Any]:
    """All that the page shows of a job of `jobs.visible`."""
    file = getattr(job, "file", None)
    may_change = jobs.may_change(user, job)
    now = next(iter(shown.states(user, [job.pk])), shown.state_of(job))
    issues = list(job.issues.all()[: ISSUES_SHOWN + 1])
    present = file is not None and file.is_present and job.status == JobStatus.DONE
    return {
        "job": job,
        "title": job.name,
        "state": now,
        "badge": shown.badge(now),
        "bar": shown.bar(now),
        "advice": shown.advice(job) if may_change else "",
        "in_words": _in_words(job),
        "columns": [column["title"] for column in job.spec.get("columns", [])],
        "options": shown.options(job.spec.get("format", ""), job.spec.get("options", {})),
        "timezone": job.spec.get("timezone", "UTC"),
        "file": file,
        "file_rows": f"{file.rows:,}" if file else "",
        "file_is_present": present,
        "events": [timeline.line(event) for event in job.events.select_related("actor").order_by("pk")[:EVENTS_SHOWN]],
        "attempts": job.attempts.order_by("number"),
        "issues": issues[:ISSUES_SHOWN],
        "more_issues": len(issues) > ISSUES_SHOWN,
        "deliveries": [deliveries.line(row) for row in _deliveries(user, job)],
        "downloads": [(row, shown.person(row.user)) for row in file.downloads.select_related("user")[:DOWNLOADS_SHOWN]] if file else [],
        "verbs": [(name, verb.label) for name, verb in VERBS.items() if may_change and verb.fits(job)],
        "may_make_again": jobs.may_make_again(user, job),
        "may_vary": access.can(user, Action.RUN, job.organization_id),
        "may_repeat": job.organization_id is not None and access.can(user, Action.ADMINISTER, job.organization_id),
        "nonce": uuid.uuid4(),
        "calls": curl.calls(job, settings.SITE_URL),
    }


def _deliveries(user: Any, job: ExportJob) -> QuerySet[Delivery]:
    """The job's mails; for admins, whose webhooks and destinations are, all that is brought."""
    rows = job.deliveries.select_related("to", "webhook", "destination")
    may_see_all = access.can(user, Action.ADMINISTER, job.organization_id)
    return (rows if may_see_all else rows.filter(kind=DeliveryKind.MAIL))[:DELIVERIES_SHOWN]


def _in_words(job: ExportJob) -> str:
    try:
        return specs.in_words(Spec.from_json(job.spec))
    except AppError as error:
        return error.message
