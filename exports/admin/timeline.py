"""A job's timeline in words: what happened, by whom, and how it is to be taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exports.admin import shown
from exports.models import JobEvent
from exports.states import JobStatus

WORDS = {
    "created": "Made",
    "started": "Started",
    "retried": "Queued once more",
    "claimed": "Taken by a worker",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "pinned": "File pinned",
    "unpinned": "File unpinned",
    "deleted": "Deleted",
    "expired": "File expired",
    "quota_rows": "Waits: the quota of rows is full",
    "quota_bytes": "Waits: the quota of kept files is full",
}
TONES = {JobStatus.QUEUED: "wait", JobStatus.IN_PROGRESS: "work", JobStatus.DONE: "ok", JobStatus.FAILED: "bad"}


@dataclass(frozen=True)
class Line:
    """One event: `tone` colours its mark, `person` is empty where the service itself did it."""

    at: datetime
    what: str
    person: str
    tone: str
    status: str  # that it led to, unless the words say so already
    attempt: int
    detail: str


def line(event: JobEvent) -> Line:
    """The event as the page shows it; its actor is read with it."""
    what = WORDS.get(event.kind) or event.kind.replace("_", " ").capitalize()
    says_so = event.to_status in {event.kind, ""} or (event.kind, event.to_status) in {
        ("created", "new"),
        ("started", "queued"),
        ("retried", "queued"),
        ("claimed", "in progress"),
    }
    return Line(
        event.at,
        what,
        shown.person(event.actor) if event.actor else "",
        TONES.get(JobStatus(event.to_status), "") if event.to_status else "wait" if event.kind.startswith("quota_") else "",
        "" if says_so else event.to_status,
        event.attempt,
        event.detail,
    )
