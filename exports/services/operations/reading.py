"""Operations as they are read: the response comes from what runs behind them, in SQL, so that it filters and sorts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db.models import Case, F, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, JSONObject, StrIndex
from django.db.models.lookups import GreaterThan

from exports.models import Operation
from exports.states import JobStatus
from taskexport import ids
from taskexport.errors import NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization

NEVER_MISSING = {"created_at", "updated_at", "task_id", "status", "handler"}
PENDING, RUNNING = "pending", "running"
# The contract's field: the column or annotation that it is.
FIELDS = {
    "task_id": "pk",
    "handler": "handler",
    "user_id": "user_id",
    "entity_id": "entity_id",
    "status": "status",
    "request": "request",
    "response": "response",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


def _response() -> Case:
    file = JSONObject(file=F("job__file__name"), rows=F("job__file__rows"), size=F("job__file__size"), sha256=F("job__file__sha256"))
    error = JSONObject(error=F("job__error"), error_code=F("job__error_code"))
    return Case(
        When(job__status=JobStatus.DONE, job__file__isnull=False, then=Cast(file, TextField())),
        When(job__status__in=[JobStatus.FAILED, JobStatus.CANCELLED], then=Cast(error, TextField())),
        When(job__isnull=False, then=Value(None, TextField())),
        When(task_import__isnull=False, then=Cast("task_import__result", TextField())),
        default=F("own_response"),
        output_field=TextField(),
    )


def rows() -> QuerySet[Operation]:
    """All operations with their `response` as it is now."""
    return Operation.objects.annotate(response=_response())


def listed(organization: Organization) -> QuerySet[Operation]:
    """Those of an organization that the caller may read, for long lists; without a response: what it is read from would keep ids from
    coming out of an index alone."""
    return Operation.objects.filter(organization=organization)


def visible(user: Any, action: Action = Action.READ) -> QuerySet[Operation]:
    """The operations of the organizations in which the user may do this, hidden ones too."""
    return access.visible_to(rows(), user, action)


def get(user: Any, task_id: str, organization_id: int | None = None) -> Operation:
    """One visible operation; with an organization, one of it. Raises NotFound."""
    found = None
    pk = _uuid(task_id)
    if pk:
        mine = visible(user) if organization_id is None else visible(user).filter(organization=organization_id)
        found = mine.filter(pk=pk).first()
    if found is None:
        raise NotFound("There is no such task.")
    return found


def matching(mine: QuerySet[Operation], wanted: dict[str, Any]) -> QuerySet[Operation]:
    """Those that equal every value of `wanted` (by the contract's fields; a day for the two times); texts of request and response are contained."""
    if "response" in wanted:
        mine = mine.annotate(response=_response())
    for field, value in wanted.items():
        column = FIELDS[field]
        if value is None:
            mine = mine.filter(**{f"{column}__isnull": True})
        elif field == "task_id":
            pk = _uuid(value)
            mine = mine.filter(pk=pk) if pk else mine.none()
        elif field == "user_id":
            mine = mine.filter(user_id=int(value)) if _is_id(value) else mine.none()
        elif field in {"request", "response"}:
            # Not by LIKE, which takes no account of the case of letters on SQLite.
            mine = mine.filter(GreaterThan(StrIndex(F(column), Value(value)), 0))
        elif isinstance(value, datetime):
            end = value.replace(hour=23, minute=59, second=59, microsecond=999999)
            mine = mine.filter(**{f"{column}__gte": value, f"{column}__lte": end})
        else:
            mine = mine.filter(**{column: value})
    return mine


def ordered(mine: QuerySet[Operation], sort: str) -> QuerySet[Operation]:
    """Ordered by one field of the contract, `-` for descending; the id comes last, and decides."""
    name, downwards = sort.removeprefix("-"), sort.startswith("-")
    column = F(FIELDS[name])
    order = column.desc(nulls_last=True) if downwards else column.asc(nulls_last=True)
    if name == "response":
        mine = mine.annotate(response=_response())
    if name in NEVER_MISSING:  # and so an index serves
        order = column.desc() if downwards else column.asc()
    if name in {"status", "handler"}:  # few values with many rows each: the newest first
        return mine.order_by(order, *(("created_at", "pk") if downwards else ("-created_at", "-pk")))
    return mine.order_by(order, "-pk" if downwards else "pk")


def page(mine: QuerySet[Operation], sort: str, number: int, size: int) -> list[Operation]:
    """The page of this number, from 1. Only its own rows are joined with what runs behind them, however deep it lies."""
    keys = list(ordered(mine, sort).values_list("pk", flat=True)[(number - 1) * size : number * size])
    found = {operation.pk: operation for operation in rows().filter(pk__in=keys)}
    return [found[pk] for pk in keys if pk in found]


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _is_id(text: str) -> bool:
    return str(ids.number(text)) == text
