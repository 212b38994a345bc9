"""A stored file as an HTTP answer: GET and HEAD, one `Range`, `ETag`, `If-Range`, attachment, never cached by others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from django.http import HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

CHUNK_BYTES = 256 * 1024
# Several ranges, or something that is none, get the whole file.
_RANGE = re.compile(r"bytes=(?!-$)(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def file_response(request: Any, stored: BinaryIO, *, size: int, sha256: str, name: str, content_type: str) -> HttpResponse | StreamingHttpResponse:
    """200, 206, 304 or 416 for these bytes; closes `stored` when the answer is over."""
    tag = f'"{sha256}"'
    first, last, status = 0, size - 1, 200
    wanted = _RANGE.fullmatch(request.headers.get("Range", "").strip()) if request.method == "GET" else None
    if {part.strip().removeprefix("W/") for part in request.headers.get("If-None-Match", "").split(",")} & {tag, "*"}:
        status = 304
    elif wanted and request.headers.get("If-Range", tag) == tag:
        bounds = _bounds(wanted[1], wanted[2], size)
        if bounds is None:
            status = 416
        else:
            first, last, status = *bounds, 206
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": str(content_disposition_header(True, name)),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    if status in {304, 416} or request.method == "HEAD":
        stored.close()
        response: Any = HttpResponse(status=status, content_type=content_type)
        if status == 304:
            del response["Content-Type"]
    else:
        response = StreamingHttpResponse(_pieces(stored, first, last - first + 1), status=status, content_type=content_type)
    if status == 416:
        headers["Content-Range"] = f"bytes */{size}"
    elif status != 304:
        headers["Content-Length"] = str(last - first + 1)
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    for key, value in headers.items():
        response[key] = value
    return response


def _bounds(first: str, last: str, size: int) -> tuple[int, int] | None:
    if not first:  # the last N bytes
        return (max(0, size - int(last)), size - 1) if last and int(last) > 0 else None
    if int(first) >= size or (last and int(last) < int(first)):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1


def _pieces(stored: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    with stored:
        stored.seek(first)
        while length > 0 and (piece := stored.read(min(CHUNK_BYTES, length))):
            length -= len(piece)
            yield piece
