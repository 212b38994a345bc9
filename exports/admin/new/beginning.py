"""With which choices the page begins: another page's, a job's, a saved config's or segment's, or the usual ones."""

from __future__ import annotations

import contextlib
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from exports.admin.new import asked
from exports.datasets import CONFIGS, Spec, chosen
from exports.models import ExportJob
from exports.services import configs, jobs, segments, specs
from taskexport import ids
from taskexport.api.strict import decoded
from taskexport.errors import Invalid
from taskexport.staff import handed_over
from tasks import access
from tasks.access import Action
from tasks.models import User


def usual(user: User) -> dict[str, Any]:
    """What an empty page says."""
    only = list(access.organizations(user, Action.RUN).values_list("pk", flat=True)[:2])
    return {
        "organization": only[0] if len(only) == 1 else None,
        "name": f"Export {timezone.localdate().isoformat()}",
        "dataset": "tasks",
        "type": "basic",
        "window": "last_30_days",
        "format": "csv",
        "timezone": "",
        "date_format": "iso",
    }


def choices(request: Any) -> dict[str, Any]:
    """The choices that the address asks for, over the usual ones. Raises AppError for a link that says nothing."""
    begun = usual(request.user)
    found = handed_over(request) or _linked(request)
    if found is None:
        return begun
    found = asked.shaped(found)
    if "columns" in found or found.get("config_id"):
        begun["type"] = "custom"
    if any(found.get(bound) for bound in asked.BOUNDS):
        begun["window"] = asked.DATES
    return begun | found


def _linked(request: Any) -> Any:
    query, user = request.GET, request.user
    if "spec" in query:
        return decoded(query["spec"].encode("utf-8", "surrogatepass"))
    if "from_job" in query:
        return of_job(jobs.get(user, query["from_job"]))
    if "config" in query:
        config = configs.find(user, ids.number(query["config"]))
        known = {"organization": config.organization_id, "dataset": config.dataset, "config_id": config.pk, "window": "all"}
        return known | {"timezone": config.timezone, "date_format": config.date_format}
    if "segment" in query:
        segment = segments.get(user, query["segment"])
        return {"organization": segment.organization_id, "dataset": segment.dataset, "segment_id": segment.pk, "type": "custom", "window": "all"}
    return None


def of_job(job: ExportJob) -> dict[str, Any]:
    """A job's frozen choices as the page's; what was relative stays pinned. Raises AppError for one of another release."""
    spec = Spec.from_json(job.spec)
    found: dict[str, Any] = {
        "organization": job.organization_id,
        "name": job.name,
        "dataset": spec.dataset,
        "filter": spec.filter,
        "sort": spec.sort,
        "format": spec.format,
        "options": spec.options,
        "timezone": spec.timezone,
        "date_format": spec.date_format,
        **({"type": job.type} if job.type in CONFIGS and not spec.changes_of else {"type": "custom", "columns": own_columns(spec)}),
    }
    bounds = bounds_of(spec)
    return found | {"window": asked.DATES if bounds else "all", **bounds}


def own_columns(spec: Spec) -> list[dict[str, Any]]:
    """The spec's columns without those that a change export has put before them: it is its schedule's alone."""
    added = {chosen.CHANGE, chosen.ROW_ID} if spec.changes_of else set()
    return [column for column in spec.columns if column["title"] not in added]


def bounds_of(spec: Spec) -> dict[str, str]:
    """The spec's window: whole days of its zone where they are, else times, the last one included; empty for all time."""
    if specs.is_of_all_time(spec):
        return {}
    start, behind = spec.created_from, spec.created_before or datetime.max.replace(tzinfo=UTC)
    with contextlib.suppress(OverflowError):
        zone = zoneinfo.ZoneInfo(spec.timezone)
        first, last = start.astimezone(zone).date(), (behind - timedelta(microseconds=1)).astimezone(zone).date()
        if first >= asked.FIRST_DAY and last <= asked.LAST_DAY:
            whole = (asked.whole_day(first, spec.timezone).at, asked.whole_day(last, spec.timezone).until)
            if whole == (start, behind):
                return dict(zip(asked.BOUNDS, (first.isoformat(), last.isoformat()), strict=True))
    ends = (start, behind - timedelta(microseconds=1))
    return dict(zip(asked.BOUNDS, (end.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") for end in ends), strict=True))


def kept(request: HttpRequest) -> dict[str, Any]:
    """What was typed into a form that was refused, as far as it can be read."""
    with contextlib.suppress(Invalid):
        found = asked.of_form(request)
        if isinstance(found, dict):
            return found
    return asked.plain(request)
