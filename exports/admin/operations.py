"""Operations: everything that runs by itself, in plain words, with what was asked for and what came of it."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from exports.models import Operation
from exports.services.operations import changing, deleting, reading, recording
from taskexport.errors import AppError
from taskexport.screens import Screen, badge
from taskexport.staff import OrganizationFilter, WordsFilter, may_in
from tasks import access
from tasks.access import Action

WORDS = {
    recording.EXPORT: "Export",
    recording.IMPORT: "Import of tasks",
    recording.SWEEP: "Clean-up of old files",
    recording.SCHEDULE: "Run of a schedule",
}
STATUSES = {"pending": ("Waits", "wait"), "running": ("Runs", "work"), "completed": ("Completed", "ok"), "failed": ("Failed", "bad")}
ENTITIES_SHOWN = 20
KINDS = {"task": "operation", "export_job": "export", "export_file": "file", "import": "import", "upload": "upload"}


class StatusFilter(WordsFilter):
    """By our own words; foreign handlers may have others."""

    title, parameter_name = "status", "status"
    words = {word: shown.lower() for word, (shown, _) in STATUSES.items()}


class HandlerFilter(WordsFilter):
    """By what runs."""

    title, parameter_name = "what", "handler"
    words = WORDS


class HiddenFilter(admin.SimpleListFilter):
    """Hidden ones only where they are asked for."""

    title, parameter_name = "hidden", "history"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("1", "show hidden ones too")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.value() else queryset.filter(historized=False)


@admin.register(Operation)
class OperationAdmin(Screen):
    """Looked at, hidden and deleted; other systems make and move theirs over the API."""

    list_title = "Operations"
    empty = ("Nothing has run yet.", "", "Exports, imports, runs of schedules and clean-ups are listed here as they happen.")
    list_display = ("what", "status_badge", "made_by", "made_at", "changed_at", "organization")
    list_filter = (StatusFilter, HandlerFilter, HiddenFilter, OrganizationFilter)
    list_select_related = ("organization", "user", "job", "task_import", "firing__schedule")
    ordering = ("-created_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access.listed_for(Operation.objects.defer("request", "own_response", "job__spec"), request.user)

    def find(self, request: HttpRequest, key: Any) -> Any:
        return reading.get(request.user, str(key))

    @admin.display(description="what")
    def what(self, operation: Operation) -> str:
        word = WORDS.get(operation.handler, operation.handler)
        name = _name(operation)
        return f"{word}: {name}" if name else word

    @admin.display(description="status", ordering="status")
    def status_badge(self, operation: Operation) -> SafeString:
        return badge(*STATUSES.get(operation.status, (operation.status, "off")))

    @admin.display(description="by")
    def made_by(self, operation: Operation) -> str:
        return str(operation.user or "the service")

    @admin.display(description="made (UTC)", ordering="created_at")
    def made_at(self, operation: Operation) -> str:
        return f"{operation.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="last change (UTC)", ordering="updated_at")
    def changed_at(self, operation: Operation) -> str:
        return f"{operation.updated_at:%Y-%m-%d %H:%M}"

    def get_urls(self) -> list[URLPattern]:
        return [
            self.own("<uuid:key>/hide/", self.hide_view, "hide"),
            self.own("<uuid:key>/remove/", self.remove_view, "remove"),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(operation: Any) -> HttpResponse:
            behind, behind_url = _behind(operation)
            context = {
                "title": self.what(operation),
                "about": WORDS.get(operation.handler, "An operation of another system"),
                "operation": operation,
                "state": self.status_badge(operation),
                "behind": behind,
                "behind_url": behind_url,
                "asked": _indented(operation.request),
                "answered": _indented(operation.response),
                "may_delete": _may_delete(request.user, operation),
            }
            return self.page(request, "operation.html", context)

        return self.of_row(request, object_id, act)

    def hide_view(self, request: Any, key: Any) -> HttpResponse:
        """Takes it out of the list."""

        def act(operation: Operation) -> HttpResponse:
            changing.hide(request.user, operation)
            messages.success(request, "It is hidden; the filter “show hidden ones too” finds it.")
            return redirect(self.url("change", operation.pk))

        return self.of_row(request, key, act, post=True)

    def remove_view(self, request: Any, key: Any) -> HttpResponse:
        """Says what goes with it, asks once more, and deletes it."""

        def act(operation: Operation) -> HttpResponse:
            changing.require_delete(request.user, operation)
            if request.method != "POST":
                entities = deleting.related(operation)
                texts = _going(entities, may_force=may_in(request, Action.ADMINISTER, operation.organization_id))
                return self.ask(request, operation, "Delete", texts, extra="force" if entities else "", name=self.what(operation))
            deleting.delete(request.user, operation, force="force" in request.POST)
            messages.success(request, "It is deleted; who did it is kept.")
            return redirect(self.url("changelist"))

        return self.of_row(request, key, act)


def _name(operation: Operation) -> str:
    if operation.firing:
        return operation.firing.schedule.name
    return operation.job.name if operation.job else operation.task_import.name if operation.task_import else ""


def _may_delete(user: Any, operation: Operation) -> bool:
    try:
        changing.require_delete(user, operation)
    except AppError:
        return False
    return True


def _going(entities: list[deleting.Entity], *, may_force: bool) -> tuple[str, ...]:
    if not entities:
        return ("Nothing else goes with it.",)
    named = [f"{KINDS.get(one.entity_type, one.entity_type)} {one.name}" for one in entities[:ENTITIES_SHOWN]]
    more = f" and {len(entities) - ENTITIES_SHOWN} more" if len(entities) > ENTITIES_SHOWN else ""
    who = () if may_force else ("Only an admin may delete an operation that takes others with it.",)
    return (f"These go with it: {', '.join(named)}{more}.", "Who had downloaded their files stays known.", *who)


def _behind(operation: Operation) -> tuple[str, str]:
    if operation.firing:
        return f"the schedule {operation.firing.schedule}", reverse("admin:exports_exportschedule_change", args=[operation.firing.schedule_id])
    if operation.job:
        return f"the export {operation.job.name}", reverse("admin:exports_exportjob_change", args=[operation.job.pk])
    if operation.task_import:
        return f"the import of {operation.task_import.name}", ""
    return "", ""


def _indented(text: str | None) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text else ""
    except (ValueError, RecursionError):
        return text or ""
