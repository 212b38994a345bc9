"""A list of tasks as a person sees it, filtered, searched and ordered, as the choices of an export that gives the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from exports import filters
from exports.filters.checking import MOST_CHOICES
from exports.services import segments
from exports.services.specs import NAME_LENGTH
from taskexport.errors import AppError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Task, User

SEGMENTS_SHOWN = 200
# What the list calls them, and what an export does.
COLUMNS = {"title": "title", "external_id": "reference", "status": "status", "assignee": "assignee", "due_on": "due_on", "created_at": "created_at"}


def segment_choices(user: Any) -> list[tuple[str, str]]:
    """The segments of tasks that the user may filter by: ids as texts, and names."""
    rows = segments.visible(user).filter(dataset="tasks").order_by("name", "pk")
    return [(str(pk), name) for pk, name in rows.values_list("pk", "name")[:SEGMENTS_SHOWN]]


def in_segment(rows: QuerySet[Task], user: Any, segment_id: str) -> QuerySet[Task]:
    """Those of the tasks that are in the segment now; none for a segment that the user may not see, or that can't be applied any more."""
    try:
        segment = segments.get(user, segment_id)
        return segments.apply(rows, segment) if segment.dataset == "tasks" else rows.none()
    except AppError:
        return rows.none()


def of_list(
    user: User,
    organization_id: int | None,
    *,
    status: str = "",
    words: str = "",
    segment_id: str = "",
    order: Sequence[tuple[str, bool]] = (),
) -> dict[str, Any]:
    """The choices of an export of all tasks that the list holds; `order` names the list's columns, and whether they descend.

    Raises Invalid (no organization is chosen: an export is of one), Forbidden, NotFound.
    """
    if segment_id:
        segment = segments.get(user, segment_id)
        if organization_id not in {None, segment.organization_id}:
            raise NotFound("There is no such segment in this organization.")
        organization_id = segment.organization_id
    conditions: list[dict[str, Any]] = []
    if status:
        conditions.append({"column": "status", "op": "is", "value": status})
    if words:
        title, reference = {"column": "title", "op": "contains"}, {"column": "reference", "op": "starts_with"}
        conditions.append({"any": [{**title, "value": words}, {**reference, "value": words}]})
    said = [status, f"“{words}”" if words else ""]
    name = ", ".join(part for part in said if part)
    found = _choices(user, organization_id, f"Tasks: {name}" if name else "All tasks", order)
    if conditions:
        found["filter"] = conditions[0] if len(conditions) == 1 else {"all": conditions}
    return found | ({"segment_id": int(segment_id)} if segment_id else {})


def of_tasks(user: User, rows: QuerySet[Task], order: Sequence[tuple[str, bool]] = ()) -> dict[str, Any]:
    """The choices of an export of just these tasks. Raises Invalid (none, too many, of several organizations), Forbidden."""
    chosen = list(rows.order_by("pk").values_list("pk", "organization")[: MOST_CHOICES + 1])
    if not 1 <= len(chosen) <= MOST_CHOICES:
        raise Invalid(f"Tick 1 to {MOST_CHOICES:,} tasks; for more of them, filter the list and press Export these.")
    organizations = {organization for _, organization in chosen}
    if len(organizations) > 1:
        raise Invalid("These tasks are of several organizations, and an export is of one. Tick those of one.")
    name = "One task" if len(chosen) == 1 else f"{len(chosen)} chosen tasks"
    return _choices(user, organizations.pop(), name, order) | {"filter": {"column": "id", "op": "in", "value": [pk for pk, _ in chosen]}}


def _choices(user: User, organization_id: int | None, name: str, order: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    if organization_id is None:
        raise Invalid("Choose an organization first, by the filter: an export is of one.")
    access.require(user, Action.RUN, organization_id)
    sort = [{"column": COLUMNS[column], "direction": "desc" if descending else "asc"} for column, descending in order if column in COLUMNS]
    return {
        "organization": organization_id,
        "dataset": "tasks",
        "name": name[:NAME_LENGTH],
        "window": "all",
        **({"sort": sort[: filters.MOST_SORTS]} if sort else {}),
    }
