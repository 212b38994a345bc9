"""What the page's form asks for: its choices as JSON, or without JavaScript as plain fields, and the checked wish they mean."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest
from rest_framework import serializers

from exports.models import ExportConfig, Segment
from exports.services import configs, segments, specs
from exports.services.schedules import windows
from taskexport.api.strict import StrictSerializer, Text, decoded, parse_data
from taskexport.errors import AppError, FieldError, Forbidden, Invalid, NotFound
from taskexport.moments import Moment
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User
from tasks.models.fields import zones

DATES = "dates"  # a window said by its two days
WINDOWS = tuple(name for name in windows.WINDOWS if name != windows.SINCE_LAST)
BOUNDS = ("creation_start_date", "creation_end_date")
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2099, 12, 31)  # where time zones have offsets of whole minutes, and no overflow
CONFIG = "config-"  # before the id, in the one field of the plain form that chooses columns
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Id(serializers.IntegerField):
    """The id of a row; null and '' are none."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_null=True, min_value=1, max_value=2**63 - 1)


class Choices(StrictSerializer):
    """All that may be chosen; what a create by REST takes, with the organization's id, and windows by name."""

    organization = Id()
    name = Text(max_length=specs.NAME_LENGTH, required=False, allow_blank=True)
    dataset = Text(max_length=40, required=False)
    type = Text(max_length=20, required=False)
    columns = serializers.ListField(child=serializers.JSONField(), required=False, allow_null=True)
    config_id = Id()
    segment_id = Id()
    filter = serializers.JSONField(required=False, allow_null=True)
    sort = serializers.ListField(child=serializers.JSONField(), required=False)
    window = Text(max_length=20, required=False)
    creation_start_date = Text(max_length=40, required=False, allow_blank=True)
    creation_end_date = Text(max_length=40, required=False, allow_blank=True)
    format = Text(max_length=20, required=False)
    options = serializers.DictField(required=False)
    timezone = Text(max_length=64, required=False, allow_blank=True)
    date_format = Text(max_length=10, required=False)


@dataclass(frozen=True)
class Asked:
    """Checked choices: where, by what saved ones, and the wish."""

    organization: Organization
    config: ExportConfig | None
    segment: Segment | None
    wish: specs.Wish


def shaped(raw: Any) -> dict[str, Any]:
    """The choices that this JSON value has. Raises Invalid."""
    return parse_data(Choices, raw)


def of_form(request: HttpRequest) -> Any:
    """The choices of the form that was sent, not looked at yet: its `spec`, or without JavaScript its plain fields. Raises Invalid."""
    text = request.POST.get("spec", "")
    return decoded(text.encode("utf-8", "surrogatepass")) if text else plain(request)


def plain(request: HttpRequest) -> dict[str, Any]:
    """The choices of the form's plain fields, as they were sent."""
    sent: dict[str, Any] = {name: request.POST[name] for name in map(str, Choices().fields) if name in request.POST}
    columns_of = sent.get("type", "")
    if columns_of.startswith(CONFIG):
        sent |= {"type": "custom", "config_id": columns_of.removeprefix(CONFIG)}
    sent.setdefault("window", DATES)
    return {name: value for name, value in sent.items() if value != "" or name not in {"organization", "config_id", "segment_id"}}


def checked(user: User, choices: dict[str, Any], *, now: datetime | None = None) -> Asked:
    """What the choices mean for whoever may export there. Raises Invalid with each error's field, Forbidden."""
    organization = organization_of(user, choices)
    now = now or datetime.now(UTC)
    config = _saved("config_id", choices, lambda pk: configs.get(user, organization, pk))
    segment = _saved("segment_id", choices, lambda pk: segments.get(user, pk, organization))
    zone = choices.get("timezone") or (config.timezone if config else organization.timezone)
    errors: list[FieldError] = []
    bounds = _bounds(choices, zone, now, errors)
    values = {name: choices[name] for name in ("dataset", "filter", "sort", "format", "options", "date_format") if choices.get(name)}
    values |= {"columns": choices["columns"]} if choices.get("columns") is not None else {}  # none at all is refused
    values |= {"org_name": organization.name, "name": choices.get("name", ""), "timezone": zone, **bounds}
    values["type"] = "custom" if config or "columns" in values else choices.get("type", "custom")
    if not config:
        values.setdefault("dataset", "tasks")
    try:
        wish = specs.make(values, config, segment=segments.definition(segment) if segment else None, now=now)
    except Invalid as error:
        errors += error.fields
    if errors:
        raise Invalid.all(errors)
    return Asked(organization, config, segment, wish)


def organization_of(user: User, choices: dict[str, Any]) -> Organization:
    """Where the export is to be made. Raises Invalid, Forbidden."""
    if not choices.get("organization"):
        raise Invalid.field("organization", "Choose an organization.", "required")
    try:
        return access.find_organization(user, str(choices["organization"]), Action.RUN)
    except (NotFound, Forbidden) as error:
        raise type(error)(error.message, fields=[FieldError("organization", error.code, error.message)]) from None


def _saved(field: str, choices: dict[str, Any], get: Any) -> Any:
    try:
        return get(choices[field]) if choices.get(field) else None
    except NotFound as error:
        raise Invalid.field(field, error.message) from None


# -- The window ----------------------------------------------------------------------------------------------------
def _bounds(choices: dict[str, Any], zone: str, now: datetime, errors: list[FieldError]) -> dict[str, Any]:
    window = choices.get("window", "all")
    if zone not in zones():  # refused with the rest
        return dict(specs.EVER)
    if window in WINDOWS:
        return dict(windows.as_bounds(*windows.pinned(window, now, zone, None)))
    if window != DATES:
        errors.append(FieldError("window", "invalid", f"Write one of: {', '.join((*WINDOWS, DATES))}."))
        return dict(specs.EVER)
    return {field: _bound(field, choices.get(field, ""), zone, errors) for field in BOUNDS}


def _bound(field: str, text: str, zone: str, errors: list[FieldError]) -> Moment | str:
    """A day is the zone's own; anything else is for `specs.make` to take, such as a time, or to refuse."""
    if not text:
        errors.append(FieldError(field, "required", "Choose a day."))
        return specs.EVER[field]
    if not _DAY.fullmatch(text):
        return text
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    if not FIRST_DAY <= day <= LAST_DAY:
        errors.append(FieldError(field, "invalid", f"Choose a day from {FIRST_DAY} to {LAST_DAY}."))
        return specs.EVER[field]
    return whole_day(day, zone)


def whole_day(day: date, zone: str) -> Moment:
    """The day in the zone: 23 or 25 hours when clocks change."""

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(UTC)

    return Moment(midnight(day), midnight(day + timedelta(days=1)) - midnight(day))


def refusal(error: AppError) -> list[dict[str, str]]:
    """The error as the page shows it: each part at its field, '' for what is about all of it."""
    found = [{"field": field.field, "detail": field.detail} for field in error.fields]
    return found or [{"field": "", "detail": error.message}]
