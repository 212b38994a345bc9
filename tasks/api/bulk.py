"""Many tasks at once: `/api/v1/tasks/bulk`."""

from __future__ import annotations

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport import idempotency
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, user_of
from taskexport.api.strict import parse_body
from taskexport.api.views import route
from taskexport.errors import AppError, Invalid, Unprocessable
from tasks import casework
from tasks.access import Action
from tasks.api import pages, shapes
from tasks.api.tasks import EXAMPLE, TAG, renamed
from tasks.api.where import organization_for

ERRORS_SHOWN = 100


class BulkView(shapes.CaseView):
    """New tasks, all or none."""

    @extend_schema(
        operation_id="create_case_tasks",
        tags=[TAG],
        request=shapes.CaseTaskBulkBody,
        parameters=[IDEMPOTENCY_KEY, pages.HEADER],
        responses={201: shapes.CaseTasksMade, **shapes.WRITE_ERRORS},
        examples=[OpenApiExample("One visit", {"tasks": [EXAMPLE.value["task"]]}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Create up to 10,000 tasks, all or none; a refusal names the row and field of each fault."""
        try:
            rows = [shapes.values_of(task) for task in parse_body(shapes.CaseTaskBulkBody, request)["tasks"]]
            organization = organization_for(request, rows[0]["case_id"], Action.WRITE)

            def make() -> idempotency.Answer:
                ids = [task.pk for task in casework.create_many(user_of(request), organization, rows)]
                return idempotency.Answer(201, {"record_count": len(ids), "ids": ids})

            return answer_once(request, make)
        except Invalid as error:
            raise _shortened(error) from None
        except Unprocessable as error:
            raise _shortened(renamed(error, "tasks.")) from None


def _shortened(error: AppError) -> AppError:
    if len(error.fields) > ERRORS_SHOWN:
        error.message = f"{len(error.fields):,} faults, of which {ERRORS_SHOWN} are named. Nothing was created."
        del error.fields[ERRORS_SHOWN:]
    return error


urlpatterns: list[URLPattern] = [*route("v1/tasks/bulk", BulkView.as_view(), "case-tasks-bulk")]
