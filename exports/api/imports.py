"""`POST /api/v1/uploads`: a CSV or XLSX file to import, streamed to the disk."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.urls import URLPattern
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from exports import storage
from exports.models import Upload
from exports.services.imports import uploads
from exports.services.uploads import disk_faults
from taskexport.api.calls import organization_of, stamp, user_of
from taskexport.api.strict import check_text
from taskexport.api.views import ContractView, documented_errors, route
from taskexport.errors import Invalid, TooLarge
from tasks.access import Action

ENVELOPE_BYTES = 64 * 1024  # what multipart adds around the file


def too_large() -> TooLarge:
    """The file is larger than uploads may be."""
    return TooLarge(f"The file is larger than {settings.IMPORT_MAX_BYTES // 1024 // 1024} MB; split it.")


class Spooled(FileUploadHandler):
    """Writes the one file part to the spool as it arrives, and counts and hashes it there: memory holds a chunk of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.size, self.digest = path, 0, hashlib.sha256()
        self._file: BinaryIO | None = None
        self.files = 0

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        self.files += 1
        if self.files > 1:
            raise Invalid.field("file", "Send one file.", "repeated")
        with disk_faults():
            storage.require_space()
            self._file = storage.open_spool(self.path)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._file is not None  # noqa: S101 - new_file comes first
        self.size += len(raw_data)
        if self.size > settings.IMPORT_MAX_BYTES:
            raise too_large()
        self.digest.update(raw_data)
        with disk_faults():
            self._file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        self.close()
        return UploadedFile(io.BytesIO(), name=self.file_name, size=file_size)  # the bytes stay in the spool

    def close(self) -> None:
        """Closes what is open; may be called twice."""
        if self._file is not None:
            self._file.close()


class UploadFile(serializers.Serializer):
    """The file, as a form's field."""

    file = serializers.FileField()


class UploadRow(serializers.Serializer):
    """A file that waits to be imported."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField(help_text="csv or xlsx, by its bytes.")
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class UploadBody(serializers.Serializer):
    """One upload."""

    upload = UploadRow()


def present(upload: Upload) -> dict[str, Any]:
    """The upload in JSON."""
    return {
        "id": str(upload.pk),
        "name": upload.name,
        "kind": upload.kind,
        "size": upload.size,
        "sha256": upload.sha256,
        "created_at": stamp(upload.created_at),
        "expires_at": stamp(upload.expires_at),
    }


class UploadsView(ContractView):
    """Files to import."""

    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="create_upload",
        tags=["imports"],
        request={"multipart/form-data": UploadFile},
        parameters=[
            OpenApiParameter("X-Organization", str, OpenApiParameter.HEADER, description="Which organization, by uuid or id; needed with several.")
        ],
        responses={201: UploadBody, **documented_errors(400, 401, 403, 404, 409, 413, 415, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """Upload a CSV (UTF-8) or XLSX file, to be imported within a day by an operation of the ImportHandler."""
        organization = organization_of(request, Action.WRITE)
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.IMPORT_MAX_BYTES + ENVELOPE_BYTES:
            raise too_large()
        upload = uploads.begin(user_of(request), organization)
        spooled = Spooled(storage.spool_path(upload.spool_name))
        try:
            name = _receive(request, spooled)
            kept = uploads.finish(upload, spooled.path, name=name, size=spooled.size, sha256=spooled.digest.hexdigest())
        except BaseException:
            spooled.close()
            uploads.abandon(upload)
            raise
        return Response({"upload": present(kept)}, status=201)


def _receive(request: Request, spooled: Spooled) -> str:
    """Reads the form, whose file goes to the spool; the file's name. Raises Invalid, TooLarge."""
    request._request.upload_handlers = [spooled]
    try:
        fields = set(request.data)
    except ParseError as error:
        raise Invalid(f"The form cannot be read: {error.detail}", code="bad_request") from None
    unknown = sorted(fields - {"file"})
    if unknown:
        raise Invalid.field(unknown[0][:100], "There is no such field; the field is file.", "unknown")
    if "file" not in request.FILES or not spooled.files:
        raise Invalid.field("file", "Send the file as the form's field file, with a file name.", "required")
    name = str(request.FILES["file"].name)
    check_text(name)
    return name


urlpatterns: list[URLPattern] = route("v1/uploads", UploadsView.as_view(), "uploads")
