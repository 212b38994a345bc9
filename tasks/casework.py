"""Tasks are made, changed and deleted, one or many: what they hang on is there, whoever is at work on them leads, complete has its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from taskexport.errors import Conflict, FieldError, NotFound, Unprocessable
from tasks import access
from tasks.access import Action
from tasks.assigning import assign
from tasks.models import Calendar, Case, CaseService, Member, Organization, Subject, Task, TaskAssignee, TaskStatus, User

BATCH_ROWS = 1000
ASSIGNEES = "assignee_ids"
REFERENCES: dict[str, type[Model]] = {"case_id": Case, "calendar_id": Calendar, "case_service_id": CaseService, "subject_id": Subject}
_NAMES = {"case_id": "case", "calendar_id": "calendar", "case_service_id": "case service", "subject_id": "subject"}

Values = dict[str, Any]


def get(user: Any, pk: int) -> Task:
    """The visible task of this id. Raises NotFound."""
    task = access.visible_to(Task.objects.all(), user).filter(pk=pk).first()
    if task is None:
        raise NotFound("There is no such task.")
    return task


def create(user: User, organization: Organization, values: Values) -> Task:
    """A new task of these values: fields of Task, related rows by id (`case_id`, …), `assignee_ids`, whose first leads.

    Raises NotFound, Forbidden; Unprocessable with the fields whose ids do not exist here; Conflict.
    """
    return _create(user, organization, [values], lambda number: "")[0]


def create_many(user: User, organization: Organization, rows: Sequence[Values]) -> list[Task]:
    """New tasks, all or none. Raises as `create` does, fields being `{row}.{field}`, rows counted from 0."""
    return _create(user, organization, rows, lambda number: f"{number}.")


def _create(user: User, organization: Organization, rows: Sequence[Values], prefix: Callable[[int], str]) -> list[Task]:
    access.require(user, Action.WRITE, organization)
    with transaction.atomic(), _kept_references():
        _check(organization, rows, prefix)
        by = member_of(user, organization.pk)
        tasks = []
        for values in rows:
            plain = {name: value for name, value in values.items() if name != ASSIGNEES}
            lead = next(iter(values.get(ASSIGNEES, [])), None)
            task = Task(organization=organization, created_by=user, assignee_id=lead, **plain)
            follow_status(task, by)
            tasks.append(task)
        Task.objects.bulk_create(tasks, batch_size=BATCH_ROWS)
        TaskAssignee.objects.bulk_create(
            (
                TaskAssignee(task=task, member_id=member, position=position)
                for task, values in zip(tasks, rows, strict=True)
                for position, member in enumerate(values.get(ASSIGNEES, []))
            ),
            batch_size=BATCH_ROWS,
        )
        return tasks


def change(user: User, task: Task, values: Values, check: Callable[[Task], None] | None = None) -> None:
    """Gives the task these values; what is not among them stays. `check` sees the task as it is now, locked, and may refuse.

    Where nothing differs, nothing is written. Raises as `create` does, and whatever `check` raises.
    """
    access.require(user, Action.WRITE, task.organization_id)
    with transaction.atomic(), _kept_references():
        now = _locked(task)
        if check:
            check(now)
        differing = {name: value for name, value in values.items() if name != ASSIGNEES and getattr(now, name) != value}
        people = values.get(ASSIGNEES)
        if people == list(now.assignments.values_list("member", flat=True)):
            people = None
        if not differing and people is None:
            return
        wanted = differing | ({} if people is None else {ASSIGNEES: people})
        if "case_id" in wanted and "subject_id" not in wanted:
            wanted["subject_id"] = now.subject_id
        _check(now.organization, [{"case_id": now.case_id} | wanted], lambda number: "")
        for name, value in differing.items():
            setattr(now, name, value)
        if "due_on" in differing:
            now.due_at = None  # the time was of another day
        if "status" in differing:
            follow_status(now, member_of(user, now.organization_id))
        if people is not None:
            assign(now, people)
        now.save()


def delete(user: User, task: Task, check: Callable[[Task], None] | None = None) -> None:
    """Deletes the task. `check` as with `change`. Raises NotFound, Forbidden."""
    access.require(user, Action.ADMINISTER, task.organization_id)
    with transaction.atomic():
        now = _locked(task)
        if check:
            check(now)
        now.delete()


def follow_status(task: Task, by: Member | None) -> None:
    """Gives a complete task its time, and who completed it, if it has none; takes both from any other. Does not save."""
    if task.status != TaskStatus.COMPLETE:
        task.completed_at = task.completed_by = None
    elif task.completed_at is None:
        task.completed_at = timezone.now()
        task.completed_by = task.completed_by or by


def member_of(user: User, organization_id: int) -> Member | None:
    """The user's own member in this organization; None for those who look in from outside."""
    return Member.objects.filter(user=user, organization=organization_id).first()


def _locked(task: Task) -> Task:
    found = Task.objects.select_for_update(no_key=True).filter(pk=task.pk, organization=task.organization_id).first()
    if found is None:
        raise NotFound("There is no such task.")
    return found


def _check(organization: Organization, rows: Sequence[Values], prefix: Callable[[int], str]) -> None:
    """Raises Unprocessable for every id that is none of the organization's, and for a subject of another case."""
    known: dict[str, dict[int, Any]] = {
        name: model._default_manager.filter(organization=organization).in_bulk({row[name] for row in rows if row.get(name) is not None})
        for name, model in REFERENCES.items()
    }
    members = Member.objects.filter(organization=organization).only("pk").in_bulk({pk for row in rows for pk in row.get(ASSIGNEES, ())})
    errors = []
    for number, row in enumerate(rows):
        at = prefix(number)
        for name, found in known.items():
            if row.get(name) is not None and row[name] not in found:
                errors.append(FieldError(f"{at}{name}", "does_not_exist", f"There is no {_NAMES[name]} {row[name]}."))
        subject = known["subject_id"].get(row.get("subject_id") or 0)
        if subject is not None and subject.case_id != row.get("case_id"):
            errors.append(
                FieldError(f"{at}subject_id", "other_case", f"The subject {subject.pk} is not one of this case; name one that is, or null.")
            )
        strangers = [pk for pk in row.get(ASSIGNEES, ()) if pk not in members]
        errors += [FieldError(f"{at}{ASSIGNEES}", "does_not_exist", f"There is no user {pk}.") for pk in strangers]
    if errors:
        raise Unprocessable("; ".join(error.detail for error in errors[:5]), code="does_not_exist", fields=errors)


@contextmanager
def _kept_references() -> Iterator[None]:
    """What a task hangs on may be deleted by another between check and commit. Raises Conflict."""
    try:
        yield
        if connection.vendor == "postgresql":
            connection.check_constraints()  # now, and not at a commit that may be a caller's
    except IntegrityError:
        raise Conflict("Something that the task names has just been deleted; read it again.", code="gone_meanwhile") from None
