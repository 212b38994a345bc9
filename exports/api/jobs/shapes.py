"""The JSON shapes of contract 1."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema_serializer
from rest_framework import serializers

from exports.cells import DATE_FORMATS
from exports.datasets import DATASETS
from exports.models import Runner
from exports.services.specs import TYPES
from exports.states import JobStatus
from taskexport.api.strict import Flag, StrictSerializer, Text
from taskexport.api.views import documented_errors

ROWS_MOST = 10**15


class Count(serializers.IntegerField):
    """A JSON number of rows; texts and booleans are not taken for one."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Nothing(StrictSerializer):
    """An empty object, or no body at all."""


JANUARY = OpenApiExample(
    "January",
    {
        "org_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "org_name": "Acme Field Services",
        "name": "January",
        "type": "basic",
        "creation_start_date": "2024-01-01T00:00:00Z",
        "creation_end_date": "2024-01-31T23:59:59Z",
    },
    request_only=True,
)


@extend_schema_serializer(examples=[JANUARY])
class JobCreate(StrictSerializer):
    """A wish for an export."""

    org_id = Text(max_length=40, help_text="The organization's uuid or id.")
    org_name = Text(max_length=200, help_text="Kept and echoed, never compared.")
    name = Text(max_length=200)
    type = Text(max_length=20, help_text=f"One of: {', '.join(TYPES)}.")
    creation_start_date = Text(max_length=40, help_text="RFC 3339 with zone, or a day; inclusive.")
    creation_end_date = Text(max_length=40, help_text="RFC 3339 with zone, or a day; inclusive.")
    format = Text(max_length=20, required=False, help_text="One of: csv, xlsx, json, ndjson; parquet where it is installed.")
    options = serializers.DictField(required=False, help_text="The format's own; see docs/api.md.")
    timezone = Text(max_length=64, required=False, help_text="IANA zone in which times are written; UTC unless said.")
    date_format = Text(max_length=10, required=False, help_text=f"How days and times are written, but in XLSX. One of: {', '.join(DATE_FORMATS)}.")
    dataset = Text(max_length=40, required=False, help_text=f"For type custom. One of: {', '.join(DATASETS)}.")
    columns = serializers.ListField(child=serializers.JSONField(), required=False, help_text="For type custom: keys or objects; see docs/api.md.")
    config_id = serializers.IntegerField(required=False, help_text="For type custom: a saved config, in place of columns.")
    segment_id = serializers.IntegerField(required=False, help_text="A saved segment of the dataset, which must hold too.")
    filter = serializers.DictField(required=False, help_text="Which rows, as a tree of conditions; see docs/api.md.")
    runner = serializers.ChoiceField(
        [Runner.INTERNAL, Runner.EXTERNAL], required=False, help_text="Who runs it: our workers, or a program of yours that claims it."
    )
    notify = Flag(required=False, help_text="true: you get an e-mail when it has ended, unless you end it yourself.")
    sort = serializers.ListField(
        child=serializers.DictField(), max_length=3, required=False, help_text='Objects of column and direction ("asc", "desc"); the id comes last.'
    )


@extend_schema_serializer(examples=[OpenApiExample("Version", {"version_rev": "3-9f2c41ab"}, request_only=True)])
class VersionBody(StrictSerializer):
    """The version that the call insists on; may be left out."""

    version_rev = Text(max_length=30, required=False)


@extend_schema_serializer(examples=[OpenApiExample("Progress", {"rows_done": 120000, "rows_total": 480000}, request_only=True)])
class ProgressBody(StrictSerializer):
    """How far an external runner is."""

    rows_done = Count(min_value=0, max_value=ROWS_MOST)
    rows_total = Count(min_value=0, max_value=ROWS_MOST, required=False)
    version_rev = Text(max_length=30, required=False)


class DoneBody(serializers.Serializer):
    """The file of an external runner, and the version that the call insists on."""

    file = serializers.FileField(help_text="A zip of one CSV: application/zip, its name ends with .csv.zip.")
    version_rev = serializers.CharField(max_length=30, required=False)


@extend_schema_serializer(
    examples=[OpenApiExample("Failed", {"error": "The warehouse did not answer.", "version_rev": "3-9f2c41ab"}, request_only=True)]
)
class FailedBody(StrictSerializer):
    """Why there is no file."""

    error = Text(max_length=2000, required=False, allow_blank=True)
    version_rev = Text(max_length=30, required=False)


class MessageBody(serializers.Serializer):
    """That it has worked."""

    message = serializers.CharField()


class DirectCreate(StrictSerializer):
    """A wish for a direct export."""

    org_id = Text(max_length=40, help_text="The organization's uuid or id, or all: every organization of one's platforms.")
    org_name = Text(max_length=200, help_text="Kept and echoed, never compared.")
    name = Text(max_length=200)
    platform_id = Text(max_length=40, required=False, help_text="One of one's platforms: its organizations alone.")
    creation_start_date = Text(max_length=40, help_text="RFC 3339 with zone, or a day; inclusive.")
    creation_end_date = Text(max_length=40, help_text="RFC 3339 with zone, or a day; inclusive.")


class JobResult(serializers.Serializer):
    """How a job ended; both empty before."""

    error = serializers.CharField(allow_blank=True)
    download_url = serializers.CharField(allow_blank=True)


class JobProgress(serializers.Serializer):
    """How far a job is."""

    rows_done = serializers.IntegerField()
    rows_total = serializers.IntegerField(allow_null=True)
    percent = serializers.FloatField()


class JobFile(serializers.Serializer):
    """The file of a done job; it stays here when it has expired."""

    name = serializers.CharField()
    size = serializers.IntegerField()
    sha256 = serializers.CharField()
    rows = serializers.IntegerField()
    expires_at = serializers.DateTimeField()
    pinned = serializers.BooleanField(help_text="Kept past its expiry.")


class Person(serializers.Serializer):
    """Somebody of ours."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class Job(serializers.Serializer):
    """An export job."""

    id = serializers.UUIDField()
    org_id = serializers.CharField()
    org_name = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    status = serializers.ChoiceField(JobStatus.choices)
    result = JobResult()
    creation_start_date = serializers.DateTimeField()
    creation_end_date = serializers.DateTimeField()
    version_rev = serializers.CharField()
    version_seq = serializers.IntegerField()
    format = serializers.CharField()
    dataset = serializers.CharField()
    trigger = serializers.CharField()
    runner = serializers.CharField()
    progress = JobProgress()
    file = JobFile(allow_null=True)
    attempt = serializers.IntegerField()
    created_by = Person(allow_null=True)
    created_at = serializers.DateTimeField()
    queued_at = serializers.DateTimeField(allow_null=True)
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class SingleJob(Job):
    """An export job read by itself."""

    queue_position = serializers.IntegerField(allow_null=True)


class JobBody(serializers.Serializer):
    """One job."""

    job = SingleJob()


class PageMeta(serializers.Serializer):
    """Which page of how many rows."""

    page = serializers.IntegerField()
    per_page = serializers.IntegerField()
    total = serializers.IntegerField()


class JobList(serializers.Serializer):
    """A page of jobs."""

    jobs = Job(many=True)
    meta = PageMeta()


class JobEvent(serializers.Serializer):
    """A line of a job's timeline."""

    at = serializers.DateTimeField()
    kind = serializers.CharField()
    from_status = serializers.CharField(allow_null=True)
    to_status = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField()
    actor = Person(allow_null=True)
    detail = serializers.CharField(allow_blank=True)


class EventList(serializers.Serializer):
    """A timeline."""

    events = JobEvent(many=True)


class FileDownload(serializers.Serializer):
    """Somebody was given bytes of the file."""

    at = serializers.DateTimeField()
    user = Person(allow_null=True)
    door = serializers.CharField()


class DownloadList(serializers.Serializer):
    """Who fetched the file."""

    downloads = FileDownload(many=True)


class JobIssue(serializers.Serializer):
    """A value that the format could not hold."""

    row_id = serializers.IntegerField()
    column = serializers.CharField()
    reason = serializers.CharField()
    text = serializers.CharField(allow_blank=True)


class IssueList(serializers.Serializer):
    """What the file has cut or replaced."""

    issues = JobIssue(many=True)


class Receipt(serializers.Serializer):
    """A signed receipt; the signature covers the canonical JSON of `receipt`."""

    receipt = serializers.DictField()
    signature = serializers.CharField()
    public_key = serializers.CharField()
    algorithm = serializers.CharField()


class ReceiptKey(serializers.Serializer):
    """The key that verifies receipts."""

    algorithm = serializers.CharField()
    public_key = serializers.CharField()


ERRORS = documented_errors(400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
READ_ERRORS = {304: OpenApiResponse(None, "Unchanged since the ETag in If-None-Match."), **documented_errors(400, 401, 403, 404, 409, 429)}
