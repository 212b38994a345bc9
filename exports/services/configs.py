"""Saved configs: members read them, admins change them; each is checked as a job would be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from exports import filters
from exports.cells import DATE_FORMATS
from exports.datasets import CONFIGS, DATASETS, chosen
from exports.models import ExportConfig
from exports.services import segments
from exports.services.holding import hold
from taskexport.errors import Conflict, FieldError, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User
from tasks.models.fields import zones

NAME_LENGTH = 200
DESCRIPTION_LENGTH = 2000
MOST_NAMED = 5  # of what uses a config
FIELDS = ("name", "description", "dataset", "columns", "filter", "segment", "timezone", "date_format", "extra")
DEFAULTS: dict[str, Any] = {
    "description": "",
    "dataset": "tasks",
    "filter": None,
    "segment": None,
    "timezone": "UTC",
    "date_format": "iso",
    "extra": {},
}


def visible(user: Any, organization: Organization) -> QuerySet[ExportConfig]:
    """The organization's configs that the user may see, by name."""
    rows = ExportConfig.objects.filter(organization=organization).select_related("segment")
    return access.visible_to(rows, user).order_by("name", "pk")


def find(user: Any, config_id: int) -> ExportConfig:
    """One visible config, of any organization. Raises NotFound."""
    found = access.visible_to(ExportConfig.objects.all(), user).filter(pk=config_id).first()
    if found is None:
        raise NotFound("There is no such export config.")
    return found


def get(user: Any, organization: Organization, config_id: Any) -> ExportConfig:
    """One visible config of this organization. Raises NotFound."""
    found = None
    if type(config_id) is int and 0 < config_id < 2**63:
        found = visible(user, organization).filter(pk=config_id).first()
    if found is None:
        raise NotFound("There is no such export config.")
    return found


def require_change(user: Any, organization: Organization) -> None:
    """Raises Forbidden or NotFound unless the user may change the organization's configs."""
    access.require(user, Action.ADMINISTER, organization)


def create(user: User, organization: Organization, values: dict[str, Any]) -> ExportConfig:
    """A new config of `name`, `columns` and, optional, what is in DEFAULTS: `segment` is a saved Segment whose rules must hold too,
    `extra` what a contract keeps of its own.

    Raises Invalid, Conflict where the name is taken, Forbidden, NotFound.
    """
    require_change(user, organization)
    checked = _checked(organization, DEFAULTS | values)
    try:
        with transaction.atomic():
            hold(checked["segment"])
            return ExportConfig.objects.create(organization=organization, created_by=user, **checked)
    except IntegrityError:
        raise Conflict.name_taken("config") from None


def update(user: User, config: ExportConfig, values: dict[str, Any], *, version: int | None = None) -> ExportConfig:
    """The config with the values changed and its version one higher; schedules take it from their next run on. `version` insists on
    the one that was read.

    Raises Invalid (also where schedules of another dataset use it), Conflict where it is stale or the name is taken, Forbidden, NotFound.
    """
    require_change(user, config.organization)
    checked = _checked(config.organization, {name: getattr(config, name) for name in FIELDS} | values)
    rows = ExportConfig.objects.filter(pk=config.pk, version=config.version if version is None else version)
    try:
        with transaction.atomic():
            changed = rows.update(**checked, version=F("version") + 1, updated_at=datetime.now(UTC))
            hold(checked["segment"])
            if changed and config.schedules.exclude(dataset=checked["dataset"]).exists():  # only now: whoever makes one holds the config
                raise Invalid.field("dataset", "Scheduled tasks use this config for other data; save another one.")
    except IntegrityError:
        raise Conflict.name_taken("config") from None
    found = ExportConfig.objects.select_related("segment").filter(pk=config.pk).first()
    if found is None:
        raise NotFound("There is no such export config.")
    if not changed:
        raise Conflict.stale("config", found.version)
    return found


def delete(user: User, config: ExportConfig) -> None:
    """Removes it; jobs keep what they froze. May be called twice. Raises Conflict where something uses it, Forbidden, NotFound."""
    require_change(user, config.organization)
    try:
        with transaction.atomic():
            ExportConfig.objects.filter(pk=config.pk).delete()
    except IntegrityError as error:  # a RestrictedError, but for what came to use it in this very moment
        users = sorted(f"{each._meta.verbose_name} {each}" for each in getattr(error, "restricted_objects", ()))
        more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
        named = ", ".join(users[:MOST_NAMED]) or "something new"
        raise Conflict(f"The config is used by {named}{more}. Give them another config first, or delete them.", code="config_in_use") from None


def in_words(config: ExportConfig) -> str:
    """Which rows it takes, as part of a sentence; empty where it takes all."""
    parts = [filters.in_words(config.filter, DATASETS[config.dataset])] if config.filter else []
    if config.segment:
        parts.append(segments.in_words(segments.definition(config.segment), config.timezone))
    return " and ".join(f"({part})" for part in parts) if len(parts) > 1 else "".join(parts)


def as_wish(config: ExportConfig) -> dict[str, Any]:
    """What a job of this config is asked for, beside its own name and bounds."""
    return {
        "dataset": config.dataset,
        "columns": config.columns,
        "timezone": config.timezone,
        "date_format": config.date_format,
        **({"filter": config.filter} if config.filter is not None else {}),
    }


def _checked(organization: Organization, values: dict[str, Any]) -> dict[str, Any]:
    errors: list[FieldError] = []

    def reject(field: str, detail: str, code: str = "invalid") -> None:
        errors.append(FieldError(field, code, detail))

    for key in values.keys() - set(FIELDS):
        reject(str(key), f"There is no such field; the fields are {', '.join(FIELDS)}.", "unknown")
    name = values.get("name")
    if not chosen.is_text(name, NAME_LENGTH, 1) or not str(name).strip():
        reject("name", f"Write 1 to {NAME_LENGTH} characters.")
    elif str(name).lower() in {*CONFIGS, "custom"}:
        reject("name", "This is the name of a built-in; choose another.")
    if not chosen.is_text(values["description"], DESCRIPTION_LENGTH):
        reject("description", f"Write at most {DESCRIPTION_LENGTH} characters.")
    zone, date_format, dataset = (values[key] if isinstance(values[key], str) else "" for key in ("timezone", "date_format", "dataset"))
    if zone not in zones():
        reject("timezone", "Write an IANA time zone such as Europe/Amsterdam.")
    if date_format not in DATE_FORMATS:
        reject("date_format", f"Write one of: {', '.join(DATE_FORMATS)}.")
    if dataset not in DATASETS:
        reject("dataset", f"Write one of: {', '.join(DATASETS)}.")
    found = dict(values)
    try:
        if dataset in DATASETS:
            found["columns"] = list(chosen.checked(values.get("columns"), DATASETS[dataset]))
            if values["filter"] is not None and zone in zones():
                found["filter"] = filters.checked(values["filter"], DATASETS[dataset], now=None, zone=zone)
    except Invalid as error:
        errors.extend(error.fields)
    segment = values["segment"]
    if segment is not None and segment.organization_id != organization.pk:
        raise NotFound("There is no such segment.")
    if segment is not None and dataset in DATASETS and segment.dataset != dataset:
        reject("segment", f"The segment is one of {segment.dataset}, the config one of {dataset}.")
    if errors:
        raise Invalid.all(errors)
    return found
