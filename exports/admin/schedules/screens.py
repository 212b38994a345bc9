"""The admin of schedules. Every action asks a service, and the service our roles."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.urls import URLPattern
from django.utils.html import format_html

from exports.admin.schedules import page, prefill, shown
from exports.admin.schedules.form import FIELDS, ScheduleForm, TimingForm
from exports.models import ExportSchedule, Kind
from exports.services.schedules import keeping, reading, words
from taskexport import ids
from taskexport.errors import AppError, Invalid
from taskexport.screens import Screen
from taskexport.staff import OrganizationFilter, WordsFilter, may_in
from tasks import access
from tasks.access import Action
from tasks.models import Organization

DELETING = (
    "It runs no more, and its list of runs goes with it. Exports that it has made stay, and so do their files.",
    "To have it rest for a while, pause it.",
)
MOST_ORGANIZATIONS = 1000  # offered in a list


class StateFilter(admin.SimpleListFilter):
    """By whether it will run."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [("on", "on"), ("paused", "paused"), ("ended", "ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        conditions: dict[Any, dict[str, Any]] = {
            "on": {"paused_reason": "", "next_run_at__isnull": False},
            "paused": {"paused_reason__gt": ""},
            "ended": {"paused_reason": "", "next_run_at__isnull": True},
        }
        return queryset.filter(**conditions.get(self.value(), {}))


class KindFilter(WordsFilter):
    """By its repetition."""

    title = "repetition"
    parameter_name = "kind"
    words = {str(kind): str(kind) for kind in Kind.values}


@admin.register(ExportSchedule)
class ExportScheduleAdmin(Screen):
    """Exports that repeat, or wait for their time."""

    add_action = Action.ADMINISTER
    list_title = "Schedules"
    empty = (
        "No schedules yet.",
        "Add one, or press “Repeat this…” on the page of an export: it is then made at the same time each day, week or month.",
        "An admin of your organization can add one: it makes the same export each day, week or month.",
    )
    list_display = ("name", "state", "when", "next_run", "last_run", "owned_by", "organization")
    list_filter = (StateFilter, KindFilter, OrganizationFilter)
    search_fields = ("name",)
    search_help_text = "A part of the name"
    ordering = ("pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return reading.with_state(keeping.visible(request.user))

    def find(self, request: HttpRequest, key: Any) -> Any:
        return reading.one(request.user, ids.number(key))

    # -- The list --------------------------------------------------------------------------------------------------
    @admin.display(description="state")
    def state(self, schedule: Any) -> str:
        return shown.badge(*shown.state(schedule))

    @admin.display(description="runs")
    def when(self, schedule: ExportSchedule) -> str:
        return shown.when(schedule)

    @admin.display(description="next run", ordering="next_run_at")
    def next_run(self, schedule: ExportSchedule) -> str:
        if schedule.paused_reason or schedule.next_run_at is None:
            return "–"
        return format_html('<span>{} <span class="quiet">{}</span></span>', shown.local(schedule.next_run_at, schedule.timezone), schedule.timezone)

    @admin.display(description="last run")
    def last_run(self, schedule: Any) -> str:
        return shown.last(schedule)

    @admin.display(description="owner")
    def owned_by(self, schedule: ExportSchedule) -> str:
        return str(schedule.owner) if schedule.owner else "nobody"

    # -- Routes ----------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        return [
            self.own("preview/", self.preview_view, "preview"),
            self.own("<int:key>/edit/", self.edit_view, "edit"),
            self.own("<int:key>/remove/", self.remove_view, "remove"),
            *(self.own(f"<int:key>/{name}/", partial(self.verb_view, verb=name), name) for name in page.VERBS),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        number = request.GET.get("page", "1")
        return self.of_row(request, object_id, lambda one: self.page(request, "schedule.html", page.context(request.user, one, number)))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """The next runs of the timing in the query, and the timing in words: JSON, for the form's script."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = TimingForm(request.GET)
        if not form.is_valid():
            return JsonResponse({"words": "", "runs": [], "errors": {name: texts[0] for name, texts in form.errors.items()}})
        return JsonResponse(_preview(form))

    # -- Adding and changing ---------------------------------------------------------------------------------------
    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            begun = prefill.beginning(request)
        except AppError as error:
            messages.error(request, error.message)
            begun = prefill.Beginning()
        offered = access.organizations(request.user, Action.ADMINISTER).order_by("name", "pk")
        asked = begun.organization or ids.number(request.POST.get("organization", 0))
        organization = offered.filter(pk=asked).first() if asked else None
        if organization is None:
            choices = list(offered[:MOST_ORGANIZATIONS])
            if len(choices) != 1:
                return self.page(request, "choose.html", {"title": "New schedule", "organizations": choices, "query": request.GET})
            organization = choices[0]
        data = request.POST if request.method == "POST" else None
        form = ScheduleForm(request.user, organization, data, begun=begun.initial, carried=begun.carried)
        return self._form(request, form, {"title": "New schedule", "notes": begun.notes, "cancel_url": self.url("changelist")})

    def edit_view(self, request: Any, key: int) -> HttpResponse:
        """The form of a schedule that is there."""

        def act(schedule: ExportSchedule) -> HttpResponse:
            if not may_in(request, Action.ADMINISTER, schedule.organization_id):
                raise PermissionDenied
            data = request.POST if request.method == "POST" else None
            form = ScheduleForm(request.user, schedule.organization, data, schedule=schedule)
            return self._form(request, form, {"title": f"Edit {schedule.name}", "schedule": schedule, "cancel_url": self.url("change", schedule.pk)})

        return self.of_row(request, key, act)

    def _form(self, request: Any, form: ScheduleForm, context: dict[str, Any]) -> HttpResponse:
        if request.method == "POST" and form.is_valid():
            try:
                saved = form.save()
            except AppError as error:
                form.refuse(error)
            else:
                if saved is None:
                    messages.info(request, "This was sent before: the schedule is there.")
                    return redirect(self.url("changelist"))
                messages.success(request, "The schedule is saved." if form.schedule else "The schedule is made. Below is when it runs.")
                return redirect(self.url("change", saved.pk))
        organization: Organization = form.organization
        return self.page(request, "form.html", {"form": form, "organization": organization, "preview_url": self.url("preview"), **context})

    def verb_view(self, request: Any, key: int, verb: str) -> HttpResponse:
        """Presses one of the page's buttons."""

        def act(schedule: ExportSchedule) -> HttpResponse:
            page.VERBS[verb].act(request.user, schedule)
            messages.success(request, page.VERBS[verb].said)
            return redirect(self.url("change", schedule.pk))

        return self.of_row(request, key, act, post=True)

    def remove_view(self, request: Any, key: int) -> HttpResponse:
        """Asks once more, and deletes the schedule."""

        def act(schedule: ExportSchedule) -> HttpResponse:
            if not may_in(request, Action.ADMINISTER, schedule.organization_id):
                raise PermissionDenied
            if request.method != "POST":
                return self.ask(request, schedule, "Delete", DELETING)
            keeping.delete(request.user, schedule)
            messages.success(request, f"{schedule.name}: deleted. Its exports and their files stay.")
            return redirect(self.url("changelist"))

        return self.of_row(request, key, act)


def _preview(form: TimingForm) -> dict[str, Any]:
    first_run, values = form.timing()
    try:
        coming = keeping.preview(first_run, values)
        told = words.of_cron(values["cron"]) if values["kind"] == Kind.CRON else ""
    except Invalid as error:
        return {"words": "", "runs": [], "errors": {FIELDS.get(one.field, one.field): one.detail for one in error.fields}}
    return {"words": told, "runs": shown.coming(coming), "errors": {}}
