"""The screen of saved segments: conditions that exports and schedules share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from exports import filters
from exports.admin.new import offered
from exports.admin.saved.base import MOST_USES, SavedScreen, matching
from exports.datasets import DATASETS
from exports.models import Segment
from exports.services import segments
from taskexport import ids
from taskexport.errors import AppError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization


@admin.register(Segment)
class SegmentAdmin(SavedScreen):
    """Saved conditions. Editors change them, admins delete them."""

    add_action = Action.WRITE
    kind = "segment"
    list_title = "Segments"
    empty = (
        "No segments yet.",
        "A segment keeps conditions under a name. Add one here, or save one on the page of a new export.",
        "An editor or admin of your organization can save conditions here, for exports to be made by.",
    )
    list_display = ("name", "dataset", "conditions", "used_by", "version", "changed_at", "organization")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access.listed_for(Segment.objects.select_related("organization", "created_by"), request.user).annotate(
            schedule_count=Count("schedules", distinct=True), config_count=Count("configs", distinct=True)
        )

    def find(self, request: HttpRequest, key: Any) -> Any:
        found = self.get_queryset(request).filter(pk=ids.number(key)).first()
        if found is None:
            raise NotFound("There is no such segment.")
        return found

    # -- The list --------------------------------------------------------------------------------------------------
    @admin.display(description="rows where")
    def conditions(self, segment: Segment) -> str:
        return offered.segment_in_words(segment)

    @admin.display(description="used by")
    def used_by(self, segment: Any) -> str:
        counted = ((segment.schedule_count, "schedule"), (segment.config_count, "config"))
        return ", ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counted if count) or "–"

    @admin.display(description="changed (UTC)", ordering="updated_at")
    def changed_at(self, segment: Segment) -> str:
        return f"{segment.updated_at:%Y-%m-%d %H:%M}"

    # -- Pages -----------------------------------------------------------------------------------------------------
    def facts(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "in_words": offered.segment_in_words(row),
            "matches": matching(row.organization, {"dataset": row.dataset, "columns": ["id"]}, segment=segments.definition(row)),
            "query": f"?segment={row.pk}",
        }

    def begun(self, row: Any | None) -> dict[str, Any]:
        if row is None:
            return {"name": "", "dataset": "tasks", "filter": None}
        begun = {"organization": row.organization_id, "name": row.name, "dataset": row.dataset, "version": row.version, "filter": None}
        try:
            return begun | {"filter": segments.tree(segments.definition(row), now=None, zone=row.organization.timezone)}
        except AppError as error:
            return begun | {"unread": f"Its conditions can't be read any more, and begin anew: {error.message}"}

    def save(self, request: Any, organization: Organization, row: Any | None, values: dict[str, Any]) -> Segment:
        dataset = values["dataset"]
        if dataset not in DATASETS:
            raise Invalid.field("dataset", f"Write one of: {', '.join(DATASETS)}.")
        if not values.get("filter"):
            raise Invalid.field("filter", "Add a condition; for all rows no segment is needed.")
        tree = filters.checked(values["filter"], DATASETS[dataset], now=None, zone=organization.timezone)
        definition = segments.of_tree(tree, dataset)
        if row is None:
            return segments.create(request.user, organization, values["name"], definition)
        return segments.update(request.user, row, values["name"], definition | {"entity": row.entity}, version=values.get("version"))

    def uses(self, row: Any) -> list[tuple[str, str]]:
        found = row.configs.order_by("name", "pk").values_list("pk", "name")[:MOST_USES]
        return [*super().uses(row), *((f"config {name}", reverse("admin:exports_exportconfig_change", args=[pk])) for pk, name in found)]

    def remove(self, request: Any, row: Any) -> None:
        segments.delete(request.user, row)
