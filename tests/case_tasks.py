"""What the tests of case tasks share: an organization with cases, calendars and people, and a task's body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.models import Calendar, Case, CaseService, Member, Organization, Subject

TASKS = "/api/v1/tasks"


@dataclass(frozen=True)
class Office:
    """What a task may hang on."""

    organization: Organization
    case: Case
    other_case: Case
    subject: Subject
    other_subject: Subject
    calendar: Calendar
    service: CaseService
    people: list[Member]

    def body(self, **changes: Any) -> dict[str, Any]:
        """A task with the required fields alone, and these."""
        return {"task": {"casefile_id": self.case.pk, "calendar_id": self.calendar.pk, "due_on": "2026-02-14", "title": "Visit"} | changes}


def make_office(organization: Organization) -> Office:
    """Two cases with a subject each, a calendar, a service, three people."""
    case, other = (Case.objects.create(organization=organization, name=f"{organization.slug} {name}") for name in ("A", "B"))
    return Office(
        organization=organization,
        case=case,
        other_case=other,
        subject=Subject.objects.create(organization=organization, case=case, name="Somebody"),
        other_subject=Subject.objects.create(organization=organization, case=other, name="Somebody else"),
        calendar=Calendar.objects.create(organization=organization, name="Day shift"),
        service=CaseService.objects.create(organization=organization, name="Warranty"),
        people=[Member.objects.create(organization=organization, name=name, email=f"{name}@example.com") for name in ("ann", "bob", "cid")],
    )
