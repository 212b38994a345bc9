"""What a call asks for, in the core's words: columns, one filter tree, an order, a window of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.models import Model

from exports.api.task_exports import fields
from exports.api.task_exports.shapes import LIMIT, id_number
from exports.datasets import DATASETS, chosen
from exports.models import ExportConfig
from exports.services import specs
from taskexport.errors import FieldError, Invalid
from tasks.models import Flow, Hub, Organization

OPTIONS: dict[str, dict[str, Any]] = {"csv": {"archive": "none"}}  # a link to the table itself


def of_export(organization: Organization, body: dict[str, Any], config: ExportConfig | None) -> specs.Wish:
    """The wish of a checked body. Raises Invalid."""
    columns = fields.chosen(organization, body["fields"]) if "fields" in body else None
    if config and config.dataset != "tasks":
        raise Invalid.field("exportConfigId", f"This config is one of {config.dataset}, not of tasks.")
    values: dict[str, Any] = {
        "org_name": organization.name,
        "name": config.name if config else "tasks",
        "type": "custom",
        **specs.EVER,
        "format": body["download"],
        "options": OPTIONS.get(body["download"], {}),
        "sort": order(organization, body["sortBy"], body["sortOrder"]),
        "window": window(body),
        "stem": f"task_{organization.uuid}_{{created}}",
    }
    tree = condition(organization, body)
    if tree:
        values["filter"] = tree
    if config is None:
        values["columns"] = fields.everything(organization) if columns is None else columns
        return specs.make(values)
    wish = specs.make(values, config)
    if columns is None:
        return wish
    return replace(wish, spec=replace(wish.spec, columns=chosen.checked(columns, DATASETS["tasks"])))


def window(body: dict[str, Any]) -> dict[str, int] | None:
    """The page of rows that is asked for; None for all rows."""
    if "page" not in body and "limit" not in body:
        return None
    most = body.get("limit", LIMIT)
    return {"skip": (body.get("page", 1) - 1) * most, "most": most}


def order(organization: Organization, key: str, direction: str) -> list[dict[str, str]]:
    """Rows by this field; those alike by their id, in the same direction. Raises Invalid."""
    column = fields.source(fields.own(organization, [key]), key)
    if column is None:
        raise fields.unknown("sortBy", key)
    found = [{"column": column, "direction": direction}]
    # An index has the rows in the order of both.
    return found if column == "id" else [*found, {"column": "id", "direction": direction}]


def condition(organization: Organization, body: dict[str, Any]) -> dict[str, Any] | None:
    """The filters as one tree; None without any. Raises Invalid."""
    found: list[dict[str, Any]] = []
    if "status" in body:
        found.append({"column": "task_state", "op": "is", "value": body["status"]})
    if "flowId" in body:
        found.append(of_flows(known(Flow, organization, body["flowId"].split(","), "flowId", "/flows")))
    if "hubId" in body:
        found.append({"column": "hub_id", "op": "is", "value": known(Hub, organization, [body["hubId"]], "hubId", "/hubs")[0]})
    for key, column in (("assignee", "assignee_email"), ("doneBy", "completed_by")):
        if key in body:
            found.append({"column": column, "op": "is_any_case", "value": body[key]})
    return {"all": found} if found else None


def of_flows(ids: list[int]) -> dict[str, Any]:
    """Only tasks of these flows."""
    return {"column": "flow_id", "op": "in", "value": ids}


def known(model: type[Model], organization: Organization, texts: list[str], field: str, call: str) -> list[int]:
    """The ids that these texts are, all of them of rows of the organization. Raises Invalid."""
    ids = {text.strip(): id_number(text.strip()) for text in texts}
    there = set(model._default_manager.filter(organization=organization, pk__in=[pk for pk in ids.values() if pk]).values_list("pk", flat=True))
    wrong = [text for text, pk in ids.items() if pk not in there]
    if wrong:
        detail = f"There is no {wrong[0][:40]!r} here; see GET {call}."
        raise Invalid(f"{field}: {detail}", fields=[FieldError(field, "unknown", detail)])
    return [pk for pk in ids.values() if pk]
