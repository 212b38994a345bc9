"""Operations made and moved on by callers; an operation with a job or an import behind it is only read."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from exports.models import ExportJob, Operation
from exports.services.operations import recording
from exports.services.operations.handlers import HANDLERS, RESERVED
from exports.services.operations.reading import PENDING
from taskexport import ids
from taskexport.errors import Conflict, Forbidden, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import Member, Organization, User

# The contract's field: the column that a caller may set.
COLUMNS = {
    "handler": "handler",
    "user_id": "user_id",
    "entity_id": "entity_id",
    "status": "status",
    "request": "request",
    "response": "own_response",
}


def create(user: User, organization: Organization, values: dict[str, Any], asked: Any = None) -> Operation:
    """A new operation of `handler` and, optional, the other fields of COLUMNS; with `asked`, a known handler's checked request, its work is started.

    Raises Invalid, Forbidden, NotFound.
    """
    access.require(user, Action.RUN, organization)
    values = {"user_id": str(user.pk)} | values
    _check(values["handler"], values, asked)
    values["user_id"] = _named(user, organization, values["user_id"])
    with transaction.atomic():
        operation = Operation.objects.create(organization=organization, **{COLUMNS[name]: value for name, value in values.items()})
        if asked is not None:
            _start(user, operation, asked)
    return operation


def update(user: User, operation: Operation, values: dict[str, Any], asked: Any = None) -> None:
    """Changes fields of COLUMNS; with `asked`, a known handler's checked request, its work is started.

    Raises Conflict where something runs, or ran, behind it, Invalid, Forbidden, NotFound.
    """
    access.require(user, Action.RUN, operation.organization)
    with transaction.atomic():  # of two that bring a request at once, one starts it
        present = Operation.objects.select_for_update(of=("self",)).filter(pk=operation.pk).first()
        if present is None or _is_ours(present):
            raise Conflict("This task's status is read from what runs behind it; it can't be set.", code="status_is_read")
        if asked is not None and present.status != PENDING:
            raise Conflict(f"The task is {present.status}; a request starts only one that is pending.", code="wrong_status")
        if {"handler", "request"} & set(values) and (present.handler, present.request) != (operation.handler, operation.request):
            raise Conflict("The task has just changed; read it again.", code="changed_meanwhile")  # `asked` is of what it was
        _check(values.get("handler", present.handler), values, asked)
        if "user_id" in values:
            values = values | {"user_id": _named(user, operation.organization, values["user_id"], present.user_id)}
        changes = {COLUMNS[name]: value for name, value in values.items()}
        Operation.objects.filter(pk=present.pk).update(**changes, updated_at=Now())
        if asked is not None:
            present.refresh_from_db()
            _start(user, present, asked)


def hide(user: User, operation: Operation) -> None:
    """Takes it out of the lists that do not ask for history; may be called twice. Raises Forbidden, NotFound."""
    require_delete(user, operation)
    Operation.objects.filter(pk=operation.pk).update(historized=True)


def require_delete(user: User, operation: Operation) -> None:
    """Raises Forbidden unless it is the user's own and they are an editor, or they are an admin."""
    access.require(user, Action.RUN, operation.organization)
    if operation.user_id != user.pk and not access.can(user, Action.ADMINISTER, operation.organization):
        raise Forbidden("Only an admin may delete another person's task.")


def _is_ours(operation: Operation) -> bool:
    return operation.job_id is not None or operation.task_import_id is not None or operation.handler in RESERVED


def _check(handler: str, values: dict[str, Any], asked: Any) -> None:
    if handler in RESERVED:
        raise Invalid.field("handler", "Only the service itself writes this one; take another name.", "reserved")
    if handler in HANDLERS:
        if (asked is not None or values.get("request") is not None) and values.get("status", PENDING) != PENDING:
            raise Invalid.field("status", "A task that is started has the status of what runs; leave it out.", "read_only")
        if asked is not None and values.get("response") is not None:
            raise Invalid.field("response", "A task that is started answers by itself; leave it out.", "read_only")


def _named(user: User, organization: Organization | None, user_id: str | None, present: int | None = None) -> int | None:
    """The member's user that is named: oneself, or for an admin any member's; whoever it names already may stay. Raises Invalid, Forbidden."""
    if user_id is None:
        if present is None:
            return None
        raise Invalid.field("user_id", "Name a user.", "null")
    if user_id in {str(user.pk), str(present)}:
        return int(user_id)
    if not access.can(user, Action.ADMINISTER, organization):
        raise Forbidden("Only an admin may name another user.")
    known = Member.objects.filter(organization=organization, user__isnull=False)
    member = known.filter(user_id=ids.number(user_id)).first()
    if member is None:
        raise Invalid.field("user_id", "No member of the organization has this user id.", "unknown")
    return member.user_id


def _start(user: User, operation: Operation, asked: Any) -> None:
    assert operation.organization is not None  # noqa: S101 - only direct exports have none, and they are not started here
    work = HANDLERS[operation.handler](user, operation.organization, asked)
    # Every job and import comes with an operation; here the caller's own stands in its place.
    Operation.objects.filter(**_behind(work)).delete()
    Operation.objects.filter(pk=operation.pk).update(**_behind(work), entity_id=operation.entity_id or str(work.pk))
    recording.follow(pk=operation.pk)


def _behind(work: Any) -> dict[str, Any]:
    return {"job": work} if isinstance(work, ExportJob) else {"task_import": work}
