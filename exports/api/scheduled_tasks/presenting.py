"""Scheduled tasks in the contract's words."""

from __future__ import annotations

from typing import Any

from exports.api.scheduled_tasks import shapes
from exports.models import ChangeBase, ExportFile, ExportSchedule
from exports.services.deliveries import links
from exports.services.schedules import checking, reading, runs
from exports.services.schedules.reading import Line
from taskexport.api.calls import stamp

LOG_LIMIT = 10


def present(schedules: list[ExportSchedule], log_limit: int = LOG_LIMIT, log_offset: int = 0) -> list[dict[str, Any]]:
    """The schedules, with their state, in the contract's words."""
    logs = reading.logs(schedules, log_limit, log_offset)
    results = ExportFile.objects.defer("receipt").in_bulk([each.result_id for each in schedules if each.result_id])  # type: ignore[attr-defined]
    return [_present(each, logs.get(each.pk, []), results.get(each.result_id)) for each in schedules]  # type: ignore[attr-defined]


def _present(schedule: Any, logs: list[Line], result: ExportFile | None) -> dict[str, Any]:
    index = next((name for name, (dataset, _) in shapes.INDEXES.items() if dataset == schedule.dataset), schedule.dataset)
    return {
        "id": schedule.pk,
        "chain": schedule.organization_id,
        "desc": schedule.description,
        "state": state(schedule),
        "trigger": {
            "once": stamp(checking.shown_once(schedule)),
            "repeat": schedule.kind if schedule.kind in shapes.REPEATS else "",
            "segment": None if schedule.rules is None else {**schedule.rules, "chain_id": schedule.organization_id},
            "segment_id": None if schedule.segment_id is None else str(schedule.segment_id),
            "cron": schedule.cron or None,
            "timezone": schedule.timezone,
            "missed": schedule.missed,
            "overlap": schedule.overlap,
        },
        "target": {"action": "export", "export_index": index, "export_format": schedule.format, "changes_only": schedule.changes_only},
        "delivery": links.shown(schedule),
        "logs": [_line(line) for line in logs],
        "debug": f"job {result.job_id}" if result else "",
        "version": schedule.version,
        "result": result.name if result else "",
        "base": _base(getattr(schedule, "change_base", None)),
    }


def _base(base: ChangeBase | None) -> dict[str, Any] | None:
    return {"job": str(base.job_uuid), "snapshot_at": stamp(base.snapshot_at), "rows": base.rows} if base else None


def _line(line: Line) -> dict[str, Any]:
    numbers = {name: getattr(line, name) for name in ("total", "errors", "skips", "success") if getattr(line, name) is not None}
    return {"msg": line.msg, "time": stamp(line.time), **numbers}


def state(schedule: Any) -> dict[str, Any]:
    """The state object of a schedule that was read with its state."""
    said = schedule.last_said or {"done": "done", "failed": "failed", "cancelled": "failed"}.get(schedule.last_status or "")
    return {
        "code": schedule.code,
        "last_run_date": stamp(schedule.last_fired_at),
        "last_modified": stamp(schedule.updated_at),
        "created_date": stamp(schedule.created_at),
        "last_outcome": said or schedule.last_outcome or None,
        "paused": schedule.paused_detail or schedule.paused_reason or None,
        "in_words": runs.in_words(schedule),
    }
