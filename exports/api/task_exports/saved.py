"""A saved config in the contract's words, and the contract's words as a config."""

from __future__ import annotations

from typing import Any

from exports.api.task_exports import fields, wishes
from exports.datasets import DATASETS
from exports.models import ExportConfig
from exports.services import configs, segments
from taskexport.api.calls import stamp
from taskexport.errors import FieldError, Invalid
from tasks.models import Flow, Organization, User

COLLECTIONS = {"task": "tasks", **{name: name for name in DATASETS if name != "tasks"}}
EXTRA = "task_exports"  # where the contract's own keys of a config are kept
_KEPT = ("id", "component", "title", "source", "uniqueTitle")


def _flow_parts(tree: dict[str, Any] | None) -> tuple[list[int], list[dict[str, Any]]]:
    """A config's flows, and what else its filter says."""
    parts = [] if tree is None else tree.get("all", [tree])
    mine = [part for part in parts if part.get("column") == "flow_id" and part.get("op") == "in"]
    if len(mine) != 1:
        return [], parts
    return [int(each) for each in mine[0]["value"]], [part for part in parts if part is not mine[0]]


def _shown_fields(config: ExportConfig) -> list[dict[str, Any]]:
    """The config's columns in the contract's words; what the contract kept of a column goes with its header."""
    kept = {_header(field): field for field in config.extra.get(EXTRA, {}).get("fields", [])}
    shown = []
    for column in config.columns:
        key = fields.key_of(column) if config.dataset == "tasks" else column.get("key")
        field = {"id": key or column["title"], "component": "", "title": column["title"]}
        own = kept.get(column["title"])
        shown.append(own if own and own["id"] == field["id"] else field)
    return shown


def _header(field: dict[str, Any]) -> str:
    return str(field.get("uniqueTitle") or field["title"])


def present(config: ExportConfig) -> dict[str, Any]:
    """A config in the contract's words."""
    collections = {dataset: collection for collection, dataset in COLLECTIONS.items()}
    return {
        "_id": str(config.pk),
        "organizationId": str(config.organization.uuid),
        "name": config.name,
        "description": config.description,
        "collection": collections.get(config.dataset, config.dataset),
        "flowIds": [str(pk) for pk in _flow_parts(config.filter)[0]],
        "segmentId": None if config.segment_id is None else str(config.segment_id),
        "inWords": configs.in_words(config),
        "fields": _shown_fields(config),
        "version": config.version,
        "createdBy": config.created_by.email if config.created_by else None,
        "createdTime": stamp(config.created_at),
        "updatedTime": stamp(config.updated_at),
    }


def values(user: User, organization: Organization, body: dict[str, Any], config: ExportConfig | None = None) -> dict[str, Any]:
    """What a body says, as the core keeps it; of a config that is there, what the contract has no word for stays. Raises Invalid, NotFound."""
    if body["collection"] not in COLLECTIONS:
        raise Invalid.field("collection", f"Write one of: {', '.join(COLLECTIONS)}.")
    dataset = COLLECTIONS[body["collection"]]
    flows = wishes.known(Flow, organization, body.get("flowIds", []), "flowIds", "/flows")
    if flows and dataset != "tasks":
        raise Invalid.field("flowIds", "Only tasks have flows.")
    same = config is not None and config.dataset == dataset
    rest = _flow_parts(config.filter)[1] if config and same else []
    parts = [*([wishes.of_flows(flows)] if flows else []), *rest]
    known = (
        {(field["id"], _header(field)): column for field, column in zip(_shown_fields(config), config.columns, strict=True)}
        if config and same
        else {}
    )
    return {
        "name": body["name"],
        "description": body.get("description", ""),
        "dataset": dataset,
        "columns": _columns(organization, dataset, body["fields"], known),
        "filter": {"all": parts} if len(parts) > 1 else parts[0] if parts else None,
        **_segment(user, organization, body),
        "extra": {
            **(config.extra if config else {}),
            EXTRA: {"fields": [{key: field[key] for key in _KEPT if key in field} for field in body["fields"]]},
        },
    }


def _segment(user: User, organization: Organization, body: dict[str, Any]) -> dict[str, Any]:
    if "segmentId" not in body:
        return {}
    return {"segment": None if body["segmentId"] is None else segments.get(user, body["segmentId"], organization)}


def _columns(
    organization: Organization, dataset: str, wanted: list[dict[str, Any]], known: dict[tuple[str, str], dict[str, Any]]
) -> list[dict[str, Any]]:
    errors, found = list[FieldError](), list[dict[str, Any]]()
    if not wanted:
        raise Invalid.field("fields", "Name at least one field.")
    own = fields.own(organization, [field["id"] for field in wanted]) if dataset == "tasks" else frozenset()
    for number, field in enumerate(wanted):
        header = _header(field)
        column = known.get((field["id"], header))
        if column is None and dataset == "tasks":
            column = fields.column(own, field["id"], header)
        elif column is None and DATASETS[dataset].column(field["id"]):
            column = {"key": field["id"], "title": header}
        if column is None:
            errors.append(FieldError(f"fields.{number}.id", "unknown", f"There is no field {field['id']!r}."))
        elif header in {each["title"] for each in found}:
            errors.append(FieldError(f"fields.{number}.title", "repeated", "Another field has this title; send a uniqueTitle too."))
        else:
            found.append(column)
    if errors:
        raise Invalid.all(errors)
    return found
