"""`/export-configs`, `/export-config`: saved choices of fields and flows."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from exports.api.task_exports import saved, shapes
from exports.api.task_exports.shapes import (
    LIMIT,
    ORGANIZATION,
    PAGE_MOST,
    READ_ERRORS,
    WRITE_ERRORS,
    TaskExportView,
    absolute,
    answer,
    id_number,
    page_and_limit,
)
from exports.models import ExportConfig
from exports.services import configs
from taskexport.api.calls import IDEMPOTENCY_KEY, answer_once, organization_of, user_of
from taskexport.api.strict import parse_body, parse_query
from taskexport.api.views import etag, number_parameter, require_match
from taskexport.idempotency import Answer
from tasks.models import Organization

MOST = 100
_EXAMPLE = {
    "name": "Shift report",
    "description": "What the morning meeting looks at",
    "collection": "task",
    "flowIds": [],
    "fields": [
        {"id": "title", "component": "TextField", "title": "Task"},
        {"id": "status", "component": "Dropdown", "title": "State", "uniqueTitle": "Task state"},
    ],
}


_EXAMPLES = [OpenApiExample("Two fields", _EXAMPLE, request_only=True)]
_IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of a read.")


class ConfigListView(TaskExportView):
    """All configs."""

    @extend_schema(
        operation_id="list_export_configs",
        tags=[shapes.TAG],
        parameters=[
            ORGANIZATION,
            number_parameter("page", PAGE_MOST, description="1 unless said."),
            number_parameter("limit", MOST, description=f"{LIMIT} unless said, at most {MOST}."),
        ],
        responses={200: shapes.ConfigListAnswer, **READ_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the organization's export configs by name."""
        organization = organization_of(request)
        skip, size = page_and_limit(parse_query(request, {"page", "limit"}), LIMIT, MOST)
        rows = configs.visible(request.user, organization).select_related("organization", "created_by")
        return Response(answer([saved.present(config) for config in rows[skip : skip + size]], total=rows.order_by().count()))


class ConfigCreateView(TaskExportView):
    """New configs."""

    @extend_schema(
        operation_id="create_export_config",
        tags=[shapes.TAG],
        request=shapes.ConfigBody,
        parameters=[ORGANIZATION, IDEMPOTENCY_KEY],
        responses={201: shapes.ConfigAnswer, **WRITE_ERRORS},
        examples=_EXAMPLES,
    )
    def post(self, request: Request) -> Response:
        """Save a config; its name is the organization's only one, in any case of letters."""
        organization = organization_of(request)
        configs.require_change(request.user, organization)
        values = saved.values(user_of(request), organization, parse_body(shapes.ConfigBody, request))

        def make() -> Answer:
            config = configs.create(user_of(request), organization, values)
            return Answer(201, answer(saved.present(config), "Created"), {"Location": absolute(request, f"/api/v3/export-config/{config.pk}")})

        return answer_once(request, make)


class ConfigView(TaskExportView):
    """One config."""

    @extend_schema(
        operation_id="read_export_config", tags=[shapes.TAG], parameters=[ORGANIZATION], responses={200: shapes.ConfigAnswer, **READ_ERRORS}
    )
    def get(self, request: Request, config_id: str) -> Response:
        """Read a config."""
        config = _find(request, organization_of(request), config_id)
        body = answer(saved.present(config))
        return Response(body, headers={"ETag": etag(body, str(config.version))})

    @extend_schema(
        operation_id="change_export_config",
        tags=[shapes.TAG],
        request=shapes.ConfigBody,
        parameters=[ORGANIZATION, _IF_MATCH],
        responses={200: shapes.ConfigAnswer, **WRITE_ERRORS},
        examples=_EXAMPLES,
    )
    def put(self, request: Request, config_id: str) -> Response:
        """Change a config as a whole: what the body leaves out is emptied. Jobs keep what they froze."""
        organization = organization_of(request)
        config = _find(request, organization, config_id)
        configs.require_change(request.user, organization)
        require_match(request, str(config.version))
        values = saved.values(user_of(request), organization, parse_body(shapes.ConfigBody, request), config)
        return Response(answer(saved.present(configs.update(user_of(request), config, values))))

    @extend_schema(
        operation_id="delete_export_config",
        tags=[shapes.TAG],
        parameters=[ORGANIZATION, _IF_MATCH],
        responses={200: shapes.Envelope, **WRITE_ERRORS},
    )
    def delete(self, request: Request, config_id: str) -> Response:
        """Remove a config; jobs keep what they froze."""
        organization = organization_of(request)
        config = _find(request, organization, config_id)
        require_match(request, str(config.version))
        configs.delete(user_of(request), config)
        return Response(answer(message="Deleted"))


def _find(request: Request, organization: Organization, config_id: str) -> ExportConfig:
    return configs.get(request.user, organization, id_number(config_id))
