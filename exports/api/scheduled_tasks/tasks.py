"""Scheduled tasks: `/api/services/tasks`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.scheduled_tasks import shapes
from exports.api.scheduled_tasks.base import CHAIN, READ, TAG, WRITE, ServiceView, organization, refusals, renamed
from exports.api.scheduled_tasks.presenting import LOG_LIMIT, present, state
from exports.models import ExportFile, ExportSchedule, Kind
from exports.services import files, segments
from exports.services.deliveries import links
from exports.services.schedules import checking, firing, keeping, reading, settling
from exports.services.schedules.reading import Code
from taskexport import idempotency, ids
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, user_of
from taskexport.api.strict import parse_body, parse_query, whole_number
from taskexport.api.views import etag, number_parameter, require_match, route
from taskexport.errors import Conflict, FieldError, Invalid
from tasks.access import Action
from tasks.models import Organization

LIMIT, LIMIT_MOST = 50, 500
LOG_LIMIT_MOST = 500
OFFSET_MOST, LOG_OFFSET_MOST = 1_000_000, 10_000
NAMES = {
    "name": "desc",
    "description": "desc",
    "first_run": "trigger.once",
    "kind": "trigger.repeat",
    "cron": "trigger.cron",
    "timezone": "trigger.timezone",
    "missed": "trigger.missed",
    "overlap": "trigger.overlap",
    "rules": "trigger.segment",
    "segment": "trigger.segment",
    "segment_id": "trigger.segment_id",
    "dataset": "target.export_index",
    "format": "target.export_format",
    **{name: f"delivery.{name}" for name in links.FIELDS},
    "changes_only": "target.changes_only",
}
EXAMPLE = {
    "desc": "Transactions of the night",
    "trigger": {"once": "2030-01-01T02:30:00Z", "repeat": "daily"},
    "target": {"action": "export", "export_index": "transactions", "export_format": "csv"},
}


def _one(request: Request, schedule_id: int) -> dict[str, Any]:
    return present([reading.one(request.user, schedule_id)])[0]


# -- What a body asks for ------------------------------------------------------------------------------------------
_ONCE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?)([Zz]|[+-]\d{2}(?::?\d{2})?)?)?", re.ASCII)


def _first_run(text: str | None) -> datetime | None:
    if text is None:
        return None
    match = _ONCE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        return datetime.fromisoformat(f"{match[1]}T{(match[2] or '00:00').replace(',', '.')}{(match[3] or '').upper()}")
    except ValueError:
        raise Invalid.field("trigger.once", "Write an ISO 8601 time such as 2030-01-31T02:30:00Z.") from None


def _wished(request: Request, where: Organization, body: dict[str, Any], before: ExportSchedule | None = None) -> tuple[str, Any, dict[str, Any]]:
    """The name, the first run and the values of a checked body. Raises Invalid, NotFound."""
    trigger, target = body["trigger"], body["target"]
    cron = trigger.get("cron") or ""
    if "once" not in trigger and not cron:
        raise Invalid.field("trigger.once", "Say when it runs first; only a cron needs none.", "required")
    if cron and trigger.get("repeat"):
        raise Invalid.field("trigger.cron", "Send either repeat or cron.")
    if trigger.get("segment") is not None and trigger.get("segment_id") is not None:
        fields = [FieldError(f"trigger.{key}", "invalid", "Send segment or segment_id, not both.") for key in ("segment", "segment_id")]
        raise Invalid("trigger: send segment or segment_id, not both.", fields=fields)
    dataset, stem = shapes.INDEXES[target["export_index"]]
    kept: dict[str, Any] = {}
    if before and before.dataset == dataset:  # what other doors have set
        kept = {name: getattr(before, name) for name in ("columns", "filter", "config")}
    if before:
        kept |= {name: getattr(before, name) for name in ("window", "skip_when_empty", "ends_at", "changes_only")}
    wanted = target["export_format"]
    options = before.options if before and before.format == wanted else {"archive": "none"} if wanted == "csv" else {}
    saved = trigger.get("segment_id")
    values = {
        **kept,
        "description": body.get("desc", ""),
        "kind": Kind.CRON.value if cron else trigger.get("repeat") or Kind.ONCE.value,
        "cron": cron,
        "timezone": trigger.get("timezone", where.timezone),
        **{name: trigger[name] for name in ("missed", "overlap") if name in trigger},
        **({"changes_only": target["changes_only"]} if "changes_only" in target else {}),
        "dataset": dataset,
        "format": wanted,
        "options": options,
        "segment": None if saved is None else segments.get(request.user, saved, where),
        "rules": trigger.get("segment"),
        "stem": stem,
    }
    name = " ".join(body.get("desc", "").split())[: checking.NAME_LENGTH] or f"{stem.replace('_', ' ')}"
    return name, _first_run(trigger.get("once")), values


def _delivery(body: dict[str, Any]) -> dict[str, Any] | None:
    """Where the runs shall go: all of it anew where the body speaks of it."""
    return {**links.DEFAULTS, **body["delivery"]} if "delivery" in body else None


def _in_our_words(make: Callable[[], ExportSchedule]) -> ExportSchedule:
    try:
        return make()
    except Invalid as error:
        raise renamed(error, NAMES) from None


# -- Calls ---------------------------------------------------------------------------------------------------------
def _offset(query: dict[str, str], most: int) -> int:
    return 0 if query.get("offset") == "0" else whole_number(query, "offset", 1, most) if "offset" in query else 0


class ScheduledTaskListView(ServiceView):
    """All tasks that one may see, and new ones."""

    @extend_schema(
        operation_id="list_scheduled_tasks",
        tags=[TAG],
        parameters=[
            OpenApiParameter("status", str, enum=Code.values),
            OpenApiParameter("action", str, enum=["export"]),
            number_parameter("limit", LIMIT_MOST, description=f"{LIMIT} unless said, at most {LIMIT_MOST}."),
            number_parameter("offset", OFFSET_MOST, least=0),
            CHAIN,
        ],
        responses={200: shapes.ScheduledTask(many=True), **READ},
    )
    def get(self, request: Request) -> Response:
        """List the scheduled tasks, oldest first, each with the newest lines of its log."""
        query = parse_query(request, {"status", "action", "limit", "offset", "chain"})
        limit, offset = whole_number(query, "limit", LIMIT, LIMIT_MOST), _offset(query, OFFSET_MOST)
        rows = reading.with_state(keeping.visible(request.user))
        if "chain" in query:
            rows = rows.filter(organization=organization(request, query["chain"]))
        elif "X-Organization" in request.headers:
            rows = rows.filter(organization=organization(request, None))
        if query.get("action", "export") != "export":
            raise Invalid.field("action", "Write export.")
        if "status" in query:
            if query["status"] not in Code.values:
                raise Invalid.field("status", f"Write one of: {', '.join(Code.values)}.")
            rows = reading.at(rows, query["status"])
        return Response(present(list(rows[offset : offset + limit])))

    @extend_schema(
        operation_id="create_scheduled_task",
        tags=[TAG],
        request=shapes.ScheduledTaskWish,
        parameters=[IDEMPOTENCY_KEY],
        responses={201: shapes.ScheduledTask, **WRITE},
        examples=[OpenApiExample("Each night", EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create a task that exports at a time, and again if it repeats."""
        body = parse_body(shapes.ScheduledTaskWish, request)
        where = organization(request, body.get("chain"), Action.ADMINISTER)
        name, first_run, values = _wished(request, where, body)
        delivery = _delivery(body)

        def make() -> idempotency.Answer:
            made = _in_our_words(lambda: keeping.create(user_of(request), where, name, first_run, values, delivery=delivery))
            return idempotency.Answer(201, _one(request, made.pk), {"Location": request.build_absolute_uri(f"/api/services/tasks/{made.pk}")})

        return answer_once(request, make)


class ScheduledTaskView(ServiceView):
    """One task."""

    @extend_schema(
        operation_id="read_scheduled_task",
        tags=[TAG],
        parameters=[
            number_parameter(
                "log_limit", LOG_LIMIT_MOST, description=f"Lines of the log, newest first: {LOG_LIMIT} unless said, at most {LOG_LIMIT_MOST}."
            ),
            number_parameter("offset", LOG_OFFSET_MOST, description="So many of its newest lines are left out.", least=0),
        ],
        responses={200: shapes.ScheduledTask, **READ},
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        """Read a task with its log."""
        schedule = reading.one(request.user, ids.number(schedule_id))
        query = parse_query(request, {"log_limit", "offset"})
        (body,) = present([schedule], whole_number(query, "log_limit", LOG_LIMIT, LOG_LIMIT_MOST), _offset(query, LOG_OFFSET_MOST))
        return Response(body, headers={"ETag": etag(body, str(schedule.version))})

    @extend_schema(
        operation_id="update_scheduled_task",
        tags=[TAG],
        request=shapes.ScheduledTaskChange,
        parameters=[OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of a read, or its version.")],
        responses={200: shapes.ScheduledTask, **WRITE},
        examples=[OpenApiExample("Weekly", EXAMPLE | {"trigger": EXAMPLE["trigger"] | {"repeat": "weekly"}}, request_only=True)],  # type: ignore[operator]
    )
    def put(self, request: Request, schedule_id: str) -> Response:
        """Say all of a task anew; a paused one runs again."""
        schedule = keeping.get(request.user, ids.number(schedule_id))
        body = parse_body(shapes.ScheduledTaskChange, request)
        matched = require_match(request, str(schedule.version))
        name, first_run, values = _wished(request, schedule.organization, body, schedule)
        version, delivery = int(matched) if matched else None, _delivery(body)
        _in_our_words(lambda: keeping.update(user_of(request), schedule, name, first_run, values, version=version, delivery=delivery))
        return Response(_one(request, schedule.pk))

    @extend_schema(operation_id="delete_scheduled_task", tags=[TAG], responses={204: None, **refusals(400, 401, 403, 404, 409, 429)})
    def delete(self, request: Request, schedule_id: str) -> Response:
        """Delete a task and its log; its jobs and their files stay."""
        keeping.delete(user_of(request), keeping.get(request.user, ids.number(schedule_id)))
        return Response(status=204)


class ScheduledTaskUrlView(ServiceView):
    """The last file."""

    @extend_schema(operation_id="read_scheduled_task_url", tags=[TAG], responses={200: shapes.ScheduledUrl, **READ, **refusals(409, 410)})
    def get(self, request: Request, schedule_id: str) -> Response:
        """Get a link to the last file, or to what was made again of it, good for an hour, for whoever asked."""
        schedule: Any = reading.one(request.user, ids.number(schedule_id))
        file = ExportFile.objects.select_related("job").filter(pk=schedule.result_id).first()
        if file is None:
            raise Conflict("The task has no result yet.", code="no_result")
        return Response({"url": request.build_absolute_uri(files.link(user_of(request), files.present_or_again(file)))})


class ScheduledTaskExecuteView(ServiceView):
    """Now."""

    @extend_schema(
        operation_id="execute_scheduled_task",
        tags=[TAG],
        request=None,
        responses={200: shapes.ScheduledState, **refusals(400, 401, 403, 404, 409, 413, 415, 429)},
    )
    def post(self, request: Request, schedule_id: str) -> Response:
        """Run a task now, whatever its time, which stays; wait up to 30 seconds for the end."""
        schedule = keeping.get(request.user, ids.number(schedule_id))
        if request.data != {}:
            raise Invalid("This call has no body.", code="invalid_json")
        run = firing.execute(user_of(request), schedule)
        settling.wait_for(run, settings.EXECUTE_WAIT_SECONDS)
        settling.settle(schedule.pk)
        return Response(state(reading.one(request.user, schedule.pk)))


_TASK = "services/tasks/<str:schedule_id>"
urlpatterns: list[URLPattern] = [
    *route("services/tasks", ScheduledTaskListView.as_view(), "scheduled-tasks"),
    *route(_TASK, ScheduledTaskView.as_view(), "scheduled-task"),
    *route(f"{_TASK}/download_url", ScheduledTaskUrlView.as_view(), "scheduled-task-url"),
    *route(f"{_TASK}/execute", ScheduledTaskExecuteView.as_view(), "scheduled-task-execute"),
]
