"""A multipart body of one file and a version, its file spooled as it comes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from rest_framework.request import Request

from exports.api.jobs import shapes
from exports.services.uploads import MEGABYTE, Spool
from taskexport.api.strict import check_text, flatten
from taskexport.errors import FieldError, Invalid, TooLarge

FORM_BYTES = 64 * 1024  # around the file: headers of parts, and version_rev


class _IntoSpool(FileUploadHandler):
    """Takes the one part named `file` into a spool; Django's own handlers would hold it in memory, or put it into /tmp."""

    def __init__(self) -> None:
        super().__init__()
        self.spool: Spool | None = None

    def new_file(self, *arguments: Any, **options: Any) -> None:
        super().new_file(*arguments, **options)
        if self.field_name != "file":
            raise Invalid.field(str(self.field_name), "There is no such file; the one file is named file.", "unknown")
        if self.spool is not None:
            raise Invalid.field("file", "Send one file.", "repeated")
        self.spool = Spool()
        self.spool.name, self.spool.media_type = str(self.file_name), str(self.content_type).lower()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self.spool is not None  # noqa: S101 - new_file comes first
        self.spool.write(raw_data)

    # What the form shows of the file: its bytes are in the spool.
    def file_complete(self, file_size: int) -> UploadedFile:
        return UploadedFile(file=io.BytesIO(), name=self.file_name, content_type=self.content_type, size=file_size)


@contextmanager
def uploaded(request: Request) -> Iterator[tuple[Spool, str | None]]:
    """The file of this body and its `version_rev`; what is left of the file at the end is removed. Raises Invalid, TooLarge, Unavailable."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdecimal() and int(length) > settings.UPLOAD_MB * MEGABYTE + FORM_BYTES:
        raise TooLarge(f"The file is larger than {settings.UPLOAD_MB} MB.")
    handler = _IntoSpool()
    request._request.upload_handlers = [handler]  # before the body is read
    try:
        form = request.data
        if handler.spool is None:
            raise Invalid.field("file", "Send the file as a part with a filename.", "required")
        yield handler.spool, _version(form)
    finally:
        if handler.spool is not None:
            handler.spool.discard()


def _version(form: Any) -> str | None:
    texts = {key: form.getlist(key) for key in form if key != "file"}
    unknown = sorted(set(texts) - {"version_rev"})
    if unknown:
        raise Invalid(
            f"{unknown[0]}: there is no such field; the fields are file, version_rev.",
            fields=[FieldError(key, "unknown", "There is no such field; the fields are file, version_rev.") for key in unknown],
        )
    if "version_rev" not in texts:
        return None
    if len(texts["version_rev"]) > 1:
        raise Invalid.field("version_rev", "Send this field once.", "repeated")
    shape = shapes.VersionBody(data={"version_rev": texts["version_rev"][0]})
    check_text(texts["version_rev"][0])
    if not shape.is_valid():
        raise flatten(shape.errors)
    return str(shape.validated_data["version_rev"])
