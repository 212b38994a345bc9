"""The screen of saved configs: columns, conditions, and how times are written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from exports.admin.saved.base import SavedScreen, matching
from exports.datasets import DATASETS, Spec
from exports.models import ExportConfig
from exports.services import configs, segments, specs
from taskexport import ids
from taskexport.errors import AppError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization

FIELDS = ("name", "description", "dataset", "columns", "filter", "timezone", "date_format")


@admin.register(ExportConfig)
class ExportConfigAdmin(SavedScreen):
    """Saved choices of columns and rows. Admins change them."""

    add_action = Action.ADMINISTER
    kind = "config"
    list_title = "Configs"
    empty = (
        "No configs yet.",
        "A config keeps columns in their order, their titles, and conditions. Add one here, or save one on the page of a new export.",
        "An admin of your organization can save columns and conditions here, for exports to be made by.",
    )
    list_display = ("name", "dataset", "column_count", "conditions", "used_by", "version", "changed_at", "organization")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = access.listed_for(ExportConfig.objects.select_related("organization", "created_by", "segment"), request.user)
        return rows.annotate(uses=Count("schedules"))

    def find(self, request: HttpRequest, key: Any) -> Any:
        found = self.get_queryset(request).filter(pk=ids.number(key)).first()
        if found is None:
            raise NotFound("There is no such export config.")
        return found

    # -- The list --------------------------------------------------------------------------------------------------
    @admin.display(description="columns")
    def column_count(self, config: ExportConfig) -> int:
        return len(config.columns)

    @admin.display(description="only rows where")
    def conditions(self, config: ExportConfig) -> str:
        return configs.in_words(config) or "all rows"

    @admin.display(description="used by")
    def used_by(self, config: Any) -> str:
        return f"{config.uses} schedule{'s' if config.uses != 1 else ''}" if config.uses else "–"

    @admin.display(description="changed (UTC)", ordering="updated_at")
    def changed_at(self, config: ExportConfig) -> str:
        return f"{config.updated_at:%Y-%m-%d %H:%M}"

    # -- Pages -----------------------------------------------------------------------------------------------------
    def facts(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return {
            "in_words": configs.in_words(row),
            "columns": [(column["title"], column.get("key") or _made(column)) for column in row.columns],
            "missing": _missing(row),
            "matches": matching(row.organization, {"timezone": row.timezone}, row),
            "query": f"?config={row.pk}",
        }

    def begun(self, row: Any | None) -> dict[str, Any]:
        if row is None:
            columns = [{"key": column.key, "title": column.title} for column in DATASETS["tasks"].columns.values()]
            return {"name": "", "description": "", "dataset": "tasks", "columns": columns, "filter": None, "timezone": "UTC", "date_format": "iso"}
        known = {"organization": row.organization_id, "version": row.version, "segment_id": row.segment_id}
        return known | {name: getattr(row, name) for name in FIELDS}

    def save(self, request: Any, organization: Organization, row: Any | None, values: dict[str, Any]) -> ExportConfig:
        kept = {name: values[name] for name in FIELDS if name in values}
        if "segment_id" in values:
            kept["segment"] = _segment(request.user, organization, values["segment_id"])
        if row is None:
            return configs.create(request.user, organization, kept)
        return configs.update(request.user, row, kept, version=values.get("version"))

    def remove(self, request: Any, row: Any) -> None:
        configs.delete(request.user, row)


def _segment(user: Any, organization: Organization, pk: int | None) -> Any:
    try:
        return segments.get(user, pk, organization) if pk else None
    except NotFound as error:
        raise Invalid.field("segment_id", error.message) from None


def _made(column: dict[str, Any]) -> str:
    return f"always “{column['constant']}”" if "constant" in column else column["compute"]["op"].replace("_", " ")


def _missing(config: ExportConfig) -> list[str]:
    """The titles of columns that are no longer there."""
    wish = {"org_name": "-", "name": "-", "type": "custom", **specs.EVER}
    try:
        spec: Spec = specs.make(wish, config).spec
    except AppError:
        return []
    return spec.missing()
