"""`/d/{token}`: a signed link to a file, bound to whom it was made for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from exports.api.jobs import send
from exports.services import files
from taskexport.api.errors import extras
from taskexport.errors import AppError


@require_safe
def follow(request: HttpRequest, token: str) -> HttpResponse:
    """The file behind a link; its owner's rights are asked again now."""
    try:
        file, user = files.by_link(token)
        return send(request, user, file, "link")
    except AppError as error:
        body: dict[str, Any] = {"message": error.message}
        return JsonResponse(body | extras(error), status=error.status)


urlpatterns: list[URLPattern] = [path("d/<str:token>", follow, name="link")]
