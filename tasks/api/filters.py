"""The filters of contract 2's list, each from its text to a condition."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from taskexport import moments
from taskexport.errors import Invalid
from tasks.api.fields import MOST_ID, day
from tasks.lists import holding
from tasks.models import Task, TaskStatus

IDS = {"id": "pk", "calendar": "calendar", "case": "case", "subject": "subject", "user": "assignments__member"}
TIMES = {"complete": "completed_at", "alert": "alert_at", "alert_sent": "alert_sent_at", "created": "created_at", "updated": "updated_at"}
DUE = {"gte": ("due_from", "from", "From"), "lte": ("due_to", "to", "To")}
KEYS = {*IDS, "title", "status", *DUE["gte"], *DUE["lte"], *(f"{name}_{end}" for name in TIMES for end in ("from", "to"))}

_TIME = "RFC 3339, `Y-m-d H:i:s` in UTC, or a day; inclusive."
PARAMETERS = [
    OpenApiParameter("id", int, description="The task."),
    OpenApiParameter("title", str, description="A part of the title, in any case of letters."),
    *(OpenApiParameter(name, int, description=f"Of this {name}.") for name in ("calendar", "case", "subject")),
    OpenApiParameter("user", int, description="This user is at work on it, as lead or beside."),
    OpenApiParameter("status", str, enum=TaskStatus.values),
    OpenApiParameter("due_from", OpenApiTypes.DATE, description="A day; inclusive. Also `from` and `From`."),
    OpenApiParameter("due_to", OpenApiTypes.DATE, description="A day; inclusive. Also `to` and `To`."),
    *(OpenApiParameter(alias, OpenApiTypes.DATE, description=f"As `{names[0]}`.") for names in DUE.values() for alias in names[1:]),
    *(OpenApiParameter(f"{name}_{end}", str, description=_TIME) for name in TIMES for end in ("from", "to")),
]


def filtered(rows: QuerySet[Task], query: dict[str, str]) -> QuerySet[Task]:
    """Those of the rows that the query's parameters mean. Raises Invalid."""
    for key in KEYS & set(query):
        if not query[key].strip():
            raise Invalid.field(key, "Write a value, or leave the parameter out.", "blank")
    for key, column in IDS.items():
        if key in query:
            rows = rows.filter(**{column: id_of(query, key)})
    if "status" in query:
        if query["status"] not in TaskStatus.values:
            raise Invalid.field("status", f"Write one of: {', '.join(TaskStatus.values)}.")
        rows = rows.filter(status=query["status"])
    for lookup, names in DUE.items():
        rows = rows.filter(_due(query, lookup, names))
    for name, column in TIMES.items():
        rows = rows.filter(_bound(query, f"{name}_from", column), _bound(query, f"{name}_to", column))
    return holding(rows, "title", query["title"]) if "title" in query else rows


def ranged(query: dict[str, str]) -> str | None:
    """The column of the day or time that the query bounds; of several, the first."""
    if any(name in query for names in DUE.values() for name in names):
        return "due_on"
    return next((column for name, column in TIMES.items() if f"{name}_from" in query or f"{name}_to" in query), None)


def id_of(query: dict[str, str], key: str) -> int:
    """An id among the parameters. Raises Invalid."""
    text = query[key]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 19 else 0
    if not 1 <= number <= MOST_ID:
        raise Invalid.field(key, "Write an id, a whole number.")
    return number


def _due(query: dict[str, str], lookup: str, names: tuple[str, ...]) -> Q:
    said = [name for name in names if name in query]
    if len(said) > 1:
        raise Invalid.field(said[1], f"It means the same as {said[0]}; send one of them.", "repeated")
    try:
        return Q(**{f"due_on__{lookup}": day(query[said[0]])}) if said else Q()
    except ValueError as error:
        raise Invalid.field(said[0], str(error)) from None


def _bound(query: dict[str, str], key: str, column: str) -> Q:
    if key not in query:
        return Q()
    try:
        bound = moments.moment(moments.of_query(query[key]), spaced_is_utc=True)
    except ValueError as error:
        raise Invalid.field(key, str(error)) from None
    bounds = moments.within(column, bound.at) if key.endswith("_from") else moments.within(column, until=bound.until)
    conditions: dict[str, Any] = bounds or {f"{column}__isnull": False}
    return Q(**conditions)
