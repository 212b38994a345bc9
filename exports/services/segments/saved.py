"""Segments as people keep them, and the rows that one has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import F, Model, QuerySet

from exports import filters
from exports.datasets import DATASETS
from exports.datasets.chosen import is_text
from exports.expressions import teach_connection
from exports.models import Segment
from exports.services.segments import rules
from taskexport import ids
from taskexport.errors import Conflict, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

NAME_LENGTH = 200
AnyModel = TypeVar("AnyModel", bound=Model)


def visible(user: Any) -> QuerySet[Segment]:
    """The segments that the user may see, in the order of their ids."""
    return access.visible_to(Segment.objects.select_related("organization"), user).order_by("pk")


def get(user: Any, segment_id: Any, organization: Organization | None = None) -> Segment:
    """One visible segment (of this organization), by its id as a number or as digits. Raises NotFound."""
    found = None
    text = str(segment_id) if isinstance(segment_id, int | str) and not isinstance(segment_id, bool) else ""
    if number := ids.number(text):
        rows = visible(user).filter(pk=number)
        found = (rows.filter(organization=organization) if organization else rows).first()
    if found is None:
        raise NotFound("There is no such segment.")
    return found


def definition(segment: Segment) -> dict[str, Any]:
    """What a saved segment says."""
    return {"entity": segment.entity, "index": segment.dataset, "join": segment.join, "rules": segment.rules}


def apply(rows: QuerySet[AnyModel], segment: Segment, *, now: datetime | None = None) -> QuerySet[AnyModel]:
    """Those of the rows, which are of the segment's dataset, that are in it now: of its organization, and as its rules say.

    Who may see the segment and the rows, the caller has asked. Raises Invalid where a rule no longer fits the data.
    """
    dataset, zone = DATASETS[segment.dataset], segment.organization.timezone
    tree = rules.tree(definition(segment), now=now or datetime.now(UTC), zone=zone)
    condition = filters.condition(tree, dataset, zone)
    teach_connection()
    return rows.filter(condition, organization=segment.organization_id)


def create(user: User, organization: Organization, name: str, given: dict[str, Any]) -> Segment:
    """A new segment. Raises Invalid, Conflict where the name is taken, Forbidden, NotFound."""
    access.require(user, Action.WRITE, organization)
    values = _values(name, given, organization)
    try:
        with transaction.atomic():
            return Segment.objects.create(organization=organization, created_by=user, **values)
    except IntegrityError:
        raise Conflict.name_taken("segment") from None


def update(user: User, segment: Segment, name: str, given: dict[str, Any], *, version: int | None = None) -> Segment:
    """The segment with all of it changed, its version one higher; schedules take it from their next run on, jobs of configs from then on.

    Raises Invalid (also where schedules or configs of another dataset use it), Conflict where it is stale or the name is taken, Forbidden, NotFound.
    """
    access.require(user, Action.WRITE, segment.organization)
    values = _values(name, given, segment.organization)
    rows = Segment.objects.filter(pk=segment.pk, version=segment.version if version is None else version)
    try:
        with transaction.atomic():
            changed = rows.update(**values, version=F("version") + 1, updated_at=datetime.now(UTC))
            others = [used.exclude(dataset=values["dataset"]).exists() for used in (segment.schedules, segment.configs)]
            if changed and any(others):  # only now: whoever comes to use it holds it
                raise Invalid.field("index", f"Tasks or configs use this segment for {segment.dataset}; save another one.")
    except IntegrityError:
        raise Conflict.name_taken("segment") from None
    if not changed:
        found = get(user, segment.pk)
        raise Conflict.stale("segment", found.version)
    return get(user, segment.pk)


def delete(user: User, segment: Segment) -> None:
    """Removes it; jobs keep what they froze. May be called twice. Raises Conflict while schedules or configs use it, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, segment.organization)
    try:
        with transaction.atomic():
            Segment.objects.filter(pk=segment.pk).delete()
    except IntegrityError:  # a RestrictedError, but for what came to use it in this very moment
        raise Conflict("Scheduled tasks or configs use this segment; change them first.", code="in_use") from None


def _values(name: str, given: dict[str, Any], organization: Organization) -> dict[str, Any]:
    if not is_text(name, NAME_LENGTH, 1) or not name.strip():
        raise Invalid.field("name", f"Write 1 to {NAME_LENGTH} characters.")
    dataset, kept = rules.checked(given, organization, at="")
    return {"name": name, "entity": kept["entity"], "dataset": dataset, "join": kept["join"], "rules": kept["rules"]}
