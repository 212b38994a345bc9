"""The JSON shapes of contract 4, its envelope and its errors."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request

from exports.formats import FORMATS
from taskexport import ids
from taskexport.api.calls import ORGANIZATION_HEADER
from taskexport.api.strict import Flag, StrictSerializer, Text, whole_number
from taskexport.api.views import ContractView, FieldErrorBody
from taskexport.errors import AppError, FieldError

TAG = "task exports"
DOWNLOADS = ("json", "xlsx", "csv", "ndjson")  # the last two are ours
STATES = ("UNASSIGNED", "ONGOING", "DONE")
ORDERS = ("asc", "desc")
PROCESSING, DONE, FAILED = "Processing", "Done", "Failed"
LOG_STATES = (PROCESSING, DONE, FAILED)
LIMIT = 30
ROWS_MOST, PAGE_MOST = 1_000_000, 1_000_000
assert set(DOWNLOADS) <= set(FORMATS)  # noqa: S101


class Whole(serializers.IntegerField):
    """A whole number, not a text of one."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class PostExportTask(StrictSerializer):
    """Which tasks, which of their fields, and how."""

    download = serializers.ChoiceField(DOWNLOADS, help_text="The file's format; csv and ndjson are ours.")
    fields = Text(max_length=10_000, required=False, help_text="Fields by comma, in the file's order; all of them where nothing is said.")  # type: ignore[assignment]
    doneBy = Text(max_length=200, required=False, help_text="Name of whoever completed the task; whole, in any case of letters.")
    assignee = Text(max_length=254, required=False, help_text="E-mail of the task's assignee; whole, in any case of letters.")
    status = serializers.ChoiceField(STATES, required=False)
    flowId = Text(max_length=20_000, required=False, help_text="Ids of flows, by comma; see /flows.")
    hubId = Text(max_length=40, required=False, help_text="A hub's id; see /hubs.")
    page = Whole(min_value=1, max_value=PAGE_MOST, required=False, help_text="1 unless said; cuts the rows, as limit does.")
    limit = Whole(min_value=1, max_value=ROWS_MOST, required=False, help_text=f"Rows of a page; {LIMIT} where only page is said. Neither: all rows.")
    sortBy = Text(max_length=200, default="createdTime", help_text="A field.")
    sortOrder = serializers.ChoiceField(ORDERS, default="desc")
    background = Flag(default=False, help_text="true: queued, see /tasks/export-log. false: the answer has the link.")
    exportConfigId = Text(max_length=40, required=False, help_text="A saved config's id; fields wins over its fields.")


class ExportData(serializers.Serializer):
    """The export."""

    time = serializers.IntegerField(help_text="When it was created, in seconds since 1970.")
    organizationId = serializers.CharField()
    reportType = serializers.ChoiceField(["task"])
    link = serializers.CharField(required=False, help_text="The file, for an hour; see /tasks/export-log for a new link.")
    status = serializers.ChoiceField(LOG_STATES)


class ExportAnswer(serializers.Serializer):
    """An export that is done, or queued."""

    status = serializers.BooleanField()
    message = serializers.CharField()
    total_data_be = serializers.IntegerField(help_text="Tasks in the file; 0 while it is queued.")
    last_id = serializers.CharField(required=False, allow_blank=True, help_text="Of the file's last row; empty where it has none.")
    last_field = serializers.CharField(required=False, help_text="The file's last column.")
    data = ExportData()  # type: ignore[assignment]


class LogSource(serializers.Serializer):
    """One export of the log."""

    organizationId = serializers.CharField()
    dataType = serializers.CharField(help_text="task, or another dataset's name.")
    dataName = serializers.CharField()
    status = serializers.ChoiceField(LOG_STATES)
    requestAt = serializers.DateTimeField()
    completedAt = serializers.DateTimeField(allow_null=True)
    email = serializers.CharField(allow_null=True)
    fileUrl = serializers.CharField(allow_null=True, help_text="For an hour; null before the end, and once the file has expired.")
    fileType = serializers.CharField()
    totalRecords = serializers.IntegerField(allow_null=True)
    errorMessage = serializers.CharField(allow_null=True)


class LogEntry(serializers.Serializer):
    """One export of the log, by its job's id."""

    _id = serializers.CharField()
    _source = LogSource()


class Envelope(serializers.Serializer):
    """What every answer has."""

    status = serializers.BooleanField()
    message = serializers.CharField()


class LogAnswer(Envelope):
    """A page of the log."""

    total = serializers.IntegerField()
    data = LogEntry(many=True)  # type: ignore[assignment]


class Named(serializers.Serializer):
    """A flow or a hub."""

    _id = serializers.CharField()
    name = serializers.CharField()
    createdTime = serializers.DateTimeField()


class NamedAnswer(Envelope):
    """A page of flows or hubs."""

    total = serializers.IntegerField()
    data = Named(many=True)  # type: ignore[assignment]


class TaskAnswer(Envelope):
    """A page of tasks, as a JSON export writes them."""

    hasNext = serializers.BooleanField()
    data = serializers.ListField(child=serializers.DictField())  # type: ignore[assignment]


class ConfigField(StrictSerializer):
    """One column of a config."""

    id = Text(max_length=200, help_text="A task's field, or an attribute of the organization's own.")
    component = Text(max_length=200, help_text="What kind of input the field is; kept and echoed.")
    title = Text(max_length=200, help_text="The column's header.")
    source = Text(max_length=500, required=False, allow_blank=True, help_text="Where the field comes from; kept and echoed.")  # type: ignore[assignment]
    uniqueTitle = Text(max_length=200, required=False, help_text="The header in place of title, where several columns have that title.")


class ConfigBody(StrictSerializer):
    """A config that is to be."""

    name = Text(max_length=200)
    description = Text(max_length=2000, required=False, allow_blank=True)
    collection = Text(max_length=40, default="task", help_text="task; or another dataset's name, ours.")
    flowIds = serializers.ListField(child=Text(max_length=40), max_length=1000, required=False, help_text="Only tasks of these flows; empty: of all.")
    segmentId = Text(
        max_length=40, required=False, allow_null=True, help_text="Ours: a saved segment whose rules must hold too; null: none. Left out: as it is."
    )
    fields = ConfigField(many=True)  # type: ignore[assignment]


class Config(serializers.Serializer):
    """A saved config."""

    _id = serializers.CharField()
    organizationId = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    collection = serializers.CharField()
    flowIds = serializers.ListField(child=serializers.CharField())
    segmentId = serializers.CharField(allow_null=True, help_text="Ours: a saved segment whose rules must hold too.")
    inWords = serializers.CharField(allow_blank=True, help_text="Ours: which rows it takes, as part of a sentence.")
    version = serializers.IntegerField(help_text="Ours: rises with each change.")
    createdBy = serializers.CharField(allow_null=True)
    createdTime = serializers.DateTimeField()
    updatedTime = serializers.DateTimeField()
    fields = ConfigField(many=True)  # type: ignore[assignment]


class ConfigAnswer(Envelope):
    """One config."""

    data = Config()  # type: ignore[assignment]


class ConfigListAnswer(Envelope):
    """A page of configs."""

    total = serializers.IntegerField()
    data = Config(many=True)  # type: ignore[assignment]


# -- Envelope and errors -------------------------------------------------------------------------------------------
def answer(data: Any = None, message: str = "Success", **more: Any) -> dict[str, Any]:
    """The contract's envelope."""
    return {"status": True, "message": message, **more, **({} if data is None else {"data": data})}


class InnerError(serializers.Serializer):
    """What broke, in words; never where in the code."""

    message = serializers.CharField()


class TaskExportError(serializers.Serializer):
    """What went wrong."""

    status = serializers.BooleanField(help_text="false")
    message = serializers.CharField()
    error = InnerError(required=False)
    error_code = serializers.CharField()
    field_errors = FieldErrorBody(many=True, required=False)


_MEANINGS = {
    400: "The input is wrong; `field_errors` says where.",
    401: "Not signed in.",
    403: "The role is too low.",
    404: "There is no such thing, for you.",
    409: "The present state does not allow it, or the name is taken.",
    410: "The file of the call that this one repeats has expired.",
    412: "If-Match is stale.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The Idempotency-Key was used with another request.",
    429: "Too many calls, or too many direct exports at once; see Retry-After.",
    500: "The export broke; `error.message` says why.",
}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """These statuses for the OpenAPI document, in this contract's body."""
    return {status: OpenApiResponse(TaskExportError, _MEANINGS[status]) for status in statuses}


READ_ERRORS = {304: OpenApiResponse(None, "Unchanged since the ETag in If-None-Match."), **errors(400, 401, 403, 404, 429)}
WRITE_ERRORS = errors(400, 401, 403, 404, 409, 412, 413, 415, 422, 429)
ORGANIZATION = OpenApiParameter(ORGANIZATION_HEADER, str, OpenApiParameter.HEADER, description="Id or uuid, for whoever has several organizations.")


class TaskExportView(ContractView):
    """A view of this contract."""

    forbidden = ""

    def error_body(self, error: AppError) -> dict[str, Any]:
        if error.status >= 500:
            return {"status": False, "message": "Internal server error", "error": {"message": error.message}}
        if error.status == 401:
            return {"status": False, "message": "Unauthorized"}
        if error.status == 403 and self.forbidden:
            return {"status": False, "message": self.forbidden}
        return {"status": False, "message": "; ".join(map(_sentence, error.fields)) or error.message}


def _sentence(error: FieldError) -> str:
    if error.code == "required" and error.field.isalnum():
        return f"The {error.field} field is required."
    return f"{error.field}: {error.detail}" if error.field else error.detail


def page_and_limit(query: dict[str, str], limit: int, most: int) -> tuple[int, int]:
    """The rows of a list's page: how many to skip, and how many to give. Raises Invalid."""
    page, size = whole_number(query, "page", 1, PAGE_MOST), whole_number(query, "limit", limit, most)
    return (page - 1) * size, size


def id_number(text: str) -> int | None:
    """The number of an id in a text; None for what is no id of ours."""
    number = ids.number(text)
    return number if text == str(number) else None


def absolute(request: Request, path: str) -> str:
    """A path with the host that was asked."""
    return request.build_absolute_uri(path)
