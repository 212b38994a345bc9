"""What no screen can read, refused before any of them tries."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError

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


class NoFiles(FileUploadHandler):
    """Answers 400 to a form with a file, before a byte of it is kept: no screen takes one, and who sends it need not have signed in. The API's
    own uploads are read by handlers of theirs."""

    def new_file(self, *args: Any, **options: Any) -> None:
        raise MultiPartParserError("This form takes no files.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        return None

    def file_complete(self, file_size: int) -> None:
        return None
