"""What is ours about a scheduled task: its coming runs, its ledger, and pausing, resuming, taking over and resetting it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import URLPattern
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.scheduled_tasks import shapes
from exports.api.scheduled_tasks.base import READ, TAG, ServiceView, refusals
from exports.api.scheduled_tasks.presenting import present
from exports.models import ExportSchedule, ScheduleEvent
from exports.services.schedules import keeping, ledger, pausing, reading
from taskexport import ids
from taskexport.api.calls import stamp, user_of
from taskexport.api.strict import parse_query, whole_number
from taskexport.api.views import number_parameter, route
from taskexport.errors import Invalid
from tasks.models import User

RUNS, RUNS_MOST = 5, 50
LIMIT, LIMIT_MOST, OFFSET_MOST = 50, 500, 10_000


class ScheduledTaskRunsView(ServiceView):
    """The coming runs."""

    @extend_schema(
        operation_id="list_next_runs",
        tags=[TAG],
        parameters=[number_parameter("count", RUNS_MOST, description=f"{RUNS} unless said, at most {RUNS_MOST}.")],
        responses={200: shapes.ScheduledRuns, **READ},
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        """List the next runs of a task in its own zone, with what the clocks do to them; none while it is paused."""
        schedule = keeping.get(request.user, ids.number(schedule_id))
        count = whole_number(parse_query(request, {"count"}), "count", RUNS, RUNS_MOST)
        runs = [{"at": stamp(run.at), "local": run.local.isoformat(), "change": run.change} for run in keeping.next_runs(schedule, count)]
        return Response({"timezone": schedule.timezone, "runs": runs})


class ScheduledTaskEventsView(ServiceView):
    """The ledger."""

    @extend_schema(
        operation_id="list_scheduled_task_events",
        tags=[TAG],
        parameters=[
            number_parameter("limit", LIMIT_MOST, description=f"{LIMIT} unless said, at most {LIMIT_MOST}."),
            number_parameter("offset", OFFSET_MOST, least=0),
        ],
        responses={200: shapes.ScheduledEvent(many=True), **READ},
    )
    def get(self, request: Request, schedule_id: str) -> Response:
        """List what was done to a task, and by whom, newest first."""
        schedule = keeping.get(request.user, ids.number(schedule_id))
        query = parse_query(request, {"limit", "offset"})
        limit = whole_number(query, "limit", LIMIT, LIMIT_MOST)
        offset = 0 if query.get("offset", "0") == "0" else whole_number(query, "offset", 1, OFFSET_MOST)
        return Response([_line(event) for event in ledger.lines(schedule)[offset : offset + limit]])


def _line(event: ScheduleEvent) -> dict[str, Any]:
    actor = {"id": event.actor.pk, "name": str(event.actor)} if event.actor else None
    return {"kind": event.kind, "at": stamp(event.at), "actor": actor, "detail": event.detail}


MOVED = {200: shapes.ScheduledTask, **refusals(400, 401, 403, 404, 409, 413, 415, 429)}


def _move(request: Request, schedule_id: str, move: Callable[[User, ExportSchedule], None]) -> Response:
    """Moves the task, by a call without a body, and answers it as it is then."""
    schedule = keeping.get(request.user, ids.number(schedule_id))
    if request.data != {}:
        raise Invalid("This call has no body.", code="invalid_json")
    move(user_of(request), schedule)
    return Response(present([reading.one(request.user, schedule.pk)])[0])


class ScheduledTaskPauseView(ServiceView):
    """Pause."""

    @extend_schema(operation_id="pause_scheduled_task", tags=[TAG], request=None, responses=MOVED)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Pause a task until somebody resumes it; twice is once."""
        return _move(request, schedule_id, pausing.pause)


class ScheduledTaskResumeView(ServiceView):
    """Resume."""

    @extend_schema(operation_id="resume_scheduled_task", tags=[TAG], request=None, responses=MOVED)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Let a paused task run again from its next time on; it becomes yours if its owner may no longer export. 400 where it can't run."""
        return _move(request, schedule_id, pausing.resume)


class ScheduledTaskTakeOverView(ServiceView):
    """Take over."""

    @extend_schema(operation_id="take_over_scheduled_task", tags=[TAG], request=None, responses=MOVED)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Become the owner of a task: its runs are made in your name, by your rights. One that is paused stays so."""
        return _move(request, schedule_id, pausing.take_over)


class ScheduledTaskResetView(ServiceView):
    """Whole again."""

    @extend_schema(operation_id="reset_scheduled_task", tags=[TAG], request=None, responses=MOVED)
    def post(self, request: Request, schedule_id: str) -> Response:
        """Have the next file of a task that exports changes hold all rows, as its first one did; twice is once."""
        return _move(request, schedule_id, keeping.reset)


_TASK = "services/tasks/<str:schedule_id>"
urlpatterns: list[URLPattern] = [
    *route(f"{_TASK}/next_runs", ScheduledTaskRunsView.as_view(), "scheduled-task-runs"),
    *route(f"{_TASK}/events", ScheduledTaskEventsView.as_view(), "scheduled-task-events"),
    *route(f"{_TASK}/pause", ScheduledTaskPauseView.as_view(), "scheduled-task-pause"),
    *route(f"{_TASK}/resume", ScheduledTaskResumeView.as_view(), "scheduled-task-resume"),
    *route(f"{_TASK}/take_over", ScheduledTaskTakeOverView.as_view(), "scheduled-task-take-over"),
    *route(f"{_TASK}/reset", ScheduledTaskResetView.as_view(), "scheduled-task-reset"),
]
