"""What no screen can read, refused before any of them tries."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

_ID = re.compile(r"[0-9]{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class ReadableQuery:
    """Answers 400 to a screen's address with a NUL, which PostgreSQL takes in no text, and to ticked rows whose ids are none; the API says so
    by itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith("/admin/"):
            if "%00" in request.META.get("QUERY_STRING", ""):
                raise BadRequest("The address holds a NUL character.")
            if request.method == "POST" and not all(_ID.fullmatch(text) for text in request.POST.getlist("_selected_action")):
                raise BadRequest("A ticked row has no such id.")
        return self._get_response(request)
