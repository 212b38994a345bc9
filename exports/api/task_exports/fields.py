"""The contract's keys of a task, and the declared columns that they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exports.datasets import ATTRIBUTES
from exports.datasets.chosen import MOST_COLUMNS
from exports.services import attributes
from taskexport.errors import FieldError, Invalid
from tasks.models import Organization

FIELDS: dict[str, str] = {
    "_id": "id",
    "title": "title",
    "content": "body",
    "flow": "flow",
    "flowId": "flow_id",
    "hub": "hub",
    "hubId": "hub_id",
    "status": "task_state",
    "assignee": "assignee_email",
    "startTime": "starts_at",
    "endTime": "ends_at",
    "createdTime": "created_at",
    "createdBy": "created_by",
    "updatedTime": "updated_at",
    "doneTime": "completed_at",
    "doneBy": "completed_by",
    "refId": "reference",
    # What tasks on cases have beside; the names are ours.
    "assignees": "assignees",
    "case": "case",
    "caseId": "case_id",
    "subject": "subject",
    "subjectId": "subject_id",
    "calendar": "calendar",
    "calendarId": "calendar_id",
    "caseService": "case_service",
    "caseServiceId": "case_service_id",
    "dueTime": "due_at",
    "dueDate": "due_on",
    "alertTime": "alert_at",
    "alertSentTime": "alert_sent_at",
    "recipientName": "recipient_name",
    "recipientCompany": "recipient_company",
    "recipientPhone": "recipient_phone",
    "recipientEmail": "recipient_email",
    "address1": "address_1",
    "address2": "address_2",
    "address3": "address_3",
    "city": "city",
    "state": "state",
    "zip": "zip",
    "country": "country",
    "latitude": "latitude",
    "longitude": "longitude",
}
IDS = frozenset({"_id", "flowId", "hubId", "caseId", "subjectId", "calendarId", "caseServiceId"})  # texts in this contract
_KEYS = {column: key for key, column in FIELDS.items()}


def own(organization: Organization, keys: Iterable[str]) -> frozenset[str]:
    """The organization's own attributes, which are looked for once, and only where one of the keys may be of one."""
    return frozenset(attributes.keys(organization)) if set(keys) - FIELDS.keys() else frozenset()


def column(known: frozenset[str], key: str, title: str | None = None) -> dict[str, Any] | None:
    """The chosen column of a contract's key or of a known attribute's (`attributes.KEY`, where the contract has the same key);
    None where there is neither."""
    found = source(known, key)
    if found is None:
        return None
    if key in IDS:
        return {"title": title or key, "compute": {"op": "concatenate", "parts": [{"column": found}]}}
    return {"key": found, "title": title or key}


def source(known: frozenset[str], key: str) -> str | None:
    """The dataset's column of a key, by which rows are sorted and filtered; None where there is none."""
    if key in FIELDS:
        return FIELDS[key]
    attribute = key.removeprefix(ATTRIBUTES)
    return f"{ATTRIBUTES}{attribute}" if attribute in known else None


def key_of(chosen: dict[str, Any]) -> str | None:
    """The contract's key of a chosen column; None for a constant or a computation, which the contract does not know."""
    if "key" in chosen:
        name = chosen["key"].removeprefix(ATTRIBUTES)
        return _KEYS.get(chosen["key"]) or (name if name not in FIELDS else chosen["key"])
    parts = chosen.get("compute", {}).get("parts", [])
    key = _KEYS.get(parts[0].get("column", "")) if len(parts) == 1 else None
    return key if key in IDS else None


def everything(organization: Organization) -> list[dict[str, Any]]:
    """All keys of the contract, and then the organization's own attributes."""
    found = [column(frozenset(), key) for key in FIELDS]
    for key in attributes.keys(organization):
        title = key if key.strip() and key not in FIELDS else f"{ATTRIBUTES}{key}"
        found.append({"key": f"{ATTRIBUTES}{key}", "title": title})
    if len(found) > MOST_COLUMNS:
        raise Invalid.field("fields", f"The tasks have {len(found)} fields, and a file at most {MOST_COLUMNS}. Name those that you need.", "required")
    return [each for each in found if each]


def chosen(organization: Organization, text: str) -> list[dict[str, Any]]:
    """The columns of a comma list of keys. Raises Invalid."""
    keys = [key.strip() for key in text.split(",")]
    if len(keys) > MOST_COLUMNS:
        raise Invalid.field("fields", f"A file has at most {MOST_COLUMNS} fields.")
    if len(set(keys)) < len(keys):
        raise Invalid.field("fields", "Name each field once.", "repeated")
    found, known = [], own(organization, keys)
    for key in keys:
        each = column(known, key)
        if each is None:
            raise unknown("fields", key)
        found.append(each)
    return found


def unknown(field: str, key: str) -> Invalid:
    """There is no such field of tasks."""
    known = ", ".join(FIELDS)
    detail = f"Tasks have no field {key[:100]!r}; they have {known}, and attributes of the organization's own."
    return Invalid(f"{field}: {detail}", fields=[FieldError(field, "unknown", detail)])
