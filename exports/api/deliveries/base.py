"""What the calls of this face share."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from taskexport.api.calls import ORGANIZATION_HEADER
from taskexport.api.strict import whole_number
from taskexport.api.views import documented_errors, number_parameter

TAG = "deliveries"
PER_PAGE, PER_PAGE_MOST, PAGE_MOST = 50, 200, 1000
COUNTED = 10_000  # of a list's rows; a longer one says so many
NOTHING_CHANGED = {304: OpenApiResponse(None, "Unchanged since the ETag in If-None-Match.")}
READ = {**NOTHING_CHANGED, **documented_errors(400, 401, 403, 404, 429)}
CREATE = documented_errors(400, 401, 403, 404, 409, 413, 415, 422, 429)
CHANGE = documented_errors(400, 401, 403, 404, 409, 412, 413, 415, 429)
DELETE = documented_errors(401, 403, 404, 409, 429)
MOVE = documented_errors(400, 401, 403, 404, 409, 413, 415, 429)
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The ETag of a read, or its version.")
ORGANIZATION = OpenApiParameter(
    ORGANIZATION_HEADER, str, OpenApiParameter.HEADER, description="The organization's id or uuid; needed by whoever has several."
)
PAGES = [
    number_parameter("page", PAGE_MOST, description="1 unless said."),
    number_parameter("per_page", PER_PAGE_MOST, description=f"{PER_PAGE} unless said, at most {PER_PAGE_MOST}."),
]


class ListPlace(serializers.Serializer):
    """Where in the list one is."""

    page = serializers.IntegerField()
    per_page = serializers.IntegerField()
    total = serializers.IntegerField(help_text=f"At most {COUNTED}: longer lists are not counted to their end.")


class ActorShape(serializers.Serializer):
    """Somebody."""

    id = serializers.IntegerField()
    name = serializers.CharField()


def actor(user: Any) -> dict[str, Any] | None:
    """Somebody, by name."""
    return None if user is None else {"id": user.pk, "name": user.name or f"user {user.pk}"}


def page_of(rows: QuerySet[Any], query: dict[str, str]) -> tuple[list[Any], dict[str, int]]:
    """A page of the rows, and where it is."""
    page, size = whole_number(query, "page", 1, PAGE_MOST), whole_number(query, "per_page", PER_PAGE, PER_PAGE_MOST)
    total = rows.order_by().values("pk")[:COUNTED].count()
    return list(rows[(page - 1) * size : page * size]), {"page": page, "per_page": size, "total": total}
