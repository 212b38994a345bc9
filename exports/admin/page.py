"""One job's page: what it shows, and its buttons."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exports.admin import shown
from exports.datasets import Spec
from exports.models import ExportJob, Runner
from exports.services import jobs, specs
from exports.states import SOURCES, JobStatus
from taskexport.errors import AppError
from tasks.models import User

EVENTS_SHOWN, DOWNLOADS_SHOWN = 500, 100
ISSUES_SHOWN = 100


@dataclass(frozen=True)
class Verb:
    """A button that moves a job: its label, the service behind it, from which statuses, and what to say then."""

    label: str
    act: Callable[[User, ExportJob], None]
    sources: frozenset[JobStatus]
    said: str


VERBS: dict[str, Verb] = {
    "start": Verb("Start", jobs.start, frozenset({JobStatus.NEW}), "It is queued; a worker takes it within seconds."),
    "cancel": Verb("Cancel", jobs.cancel, SOURCES[JobStatus.CANCELLED], "It is cancelled; a worker that is at it stops within seconds."),
    "retry": Verb("Retry", jobs.retry, frozenset({JobStatus.FAILED, JobStatus.CANCELLED}), "It is queued once more."),
}


def context(user: Any, job: Any) -> dict[str, Any]:
    """All that the page shows of a job of `jobs.visible`."""
    file = getattr(job, "file", None)
    may_change = jobs.may_change(user, job)
    present = file is not None and file.is_present
    return {
        "job": job,
        "title": job.name,
        "state": shown.state_of(job),
        "badge": shown.badge(job),
        "bar": shown.bar(job),
        "advice": shown.advice(job) if may_change else "",
        "in_words": _in_words(job),
        "columns": [column["title"] for column in job.spec.get("columns", [])],
        "timezone": job.spec.get("timezone", "UTC"),
        "queue_position": jobs.queue_position(job),
        "file": file,
        "file_rows": f"{file.rows:,}" if file else "",
        "file_is_present": present and job.status == JobStatus.DONE,
        "events": [(event, shown.person(event.actor)) for event in job.events.select_related("actor").order_by("pk")[:EVENTS_SHOWN]],
        "attempts": job.attempts.order_by("number"),
        "issues": job.issues.all()[:ISSUES_SHOWN],
        "downloads": [(row, shown.person(row.user)) for row in file.downloads.select_related("user")[:DOWNLOADS_SHOWN]] if file else [],
        "verbs": [
            (name, verb.label)
            for name, verb in VERBS.items()
            if may_change and job.status in verb.sources and (name != "retry" or job.runner != Runner.WEB)
        ],
        "may_make_again": jobs.may_make_again(user, job),
        "nonce": uuid.uuid4(),
    }


def _fits(name: str, job: ExportJob) -> bool:
    """Whether the button of this name can do something for the job; a direct export runs once, in its request."""
    return job.status in VERBS[name].sources and (job.runner != Runner.WEB or name == "cancel")


def _in_words(job: ExportJob) -> str:
    try:
        return specs.in_words(Spec.from_json(job.spec))
    except AppError as error:
        return error.message
