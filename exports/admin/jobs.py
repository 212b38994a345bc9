"""Export jobs: the list, a new one, one job's page and its buttons. Every action asks a service, and the service our roles."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from exports.admin import new, page, shown
from exports.admin.listing import ACTIONS, FormatFilter, MakerFilter, ScheduleFilter, TypeFilter
from exports.admin.page import VERBS
from exports.models import ExportJob
from exports.services import files, jobs
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, Gone, NotFound
from taskexport.screens import PRESS_AGAIN
from taskexport.staff import LongPaginator, OrganizationFilter, may_anywhere, may_in, sees_many
from tasks.access import Action

UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
JOB_URL = "admin:exports_exportjob_change"


@admin.register(ExportJob)
class ExportJobAdmin(admin.ModelAdmin):
    """Watched and moved here, never edited or deleted."""

    list_display = ("name", "status_badge", "progress_bar", "organization", "kind", "made_by", "made_at")
    list_filter = ("status", OrganizationFilter, FormatFilter, MakerFilter, ScheduleFilter, "created_at", TypeFilter)
    search_fields = ("name",)  # see get_search_results
    search_help_text = "A name, or a job's whole id"
    list_per_page = 50
    paginator = LongPaginator
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # counting each filter reads the whole table
    actions = ACTIONS
    ordering = ("-created_at", "-pk")

    # -- Rights ----------------------------------------------------------------------------------------------------
    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportJob]:
        return jobs.listed(request.user).defer("spec", "file__receipt")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, Action.READ)

    def has_view_permission(self, request: HttpRequest, obj: ExportJob | None = None) -> bool:
        return may_anywhere(request, Action.READ) if obj is None else may_in(request, Action.READ, obj.organization_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, Action.RUN)

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether bulk actions are offered; each job asks again."""
        return may_anywhere(request, Action.RUN)

    def has_change_permission(self, request: HttpRequest, obj: ExportJob | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ExportJob | None = None) -> bool:
        return False

    # -- The list --------------------------------------------------------------------------------------------------
    def get_list_display(self, request: HttpRequest) -> Any:
        return self.list_display if sees_many(request) else tuple(name for name in self.list_display if name != "organization")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Export jobs"} | (extra_context or {}))

    @admin.display(description="status", ordering="status")
    def status_badge(self, job: ExportJob) -> str:
        return shown.badge(shown.state_of(job))

    @admin.display(description="progress")
    def progress_bar(self, job: ExportJob) -> str:
        return shown.bar(shown.state_of(job))

    @admin.display(description="kind", ordering="type")
    def kind(self, job: ExportJob) -> str:
        return f"{job.type}, {job.format.upper()}"

    @admin.display(description="by")
    def made_by(self, job: ExportJob) -> str:
        return shown.person(job.created_by)

    @admin.display(description="created (UTC)", ordering="created_at")
    def made_at(self, job: ExportJob) -> str:
        return f"{job.created_at:%Y-%m-%d %H:%M}"

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(pk=uuid.UUID(term)), False
        except ValueError:
            return queryset.filter(name__icontains=term), False

    # -- Views -----------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        def own(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"exports_exportjob_{name}")

        return [
            own("live/", self.live_view, "live"),
            *(own(f"<uuid:job_id>/{name}/", partial(self.verb_view, verb=name), name) for name in VERBS),
            own("<uuid:job_id>/again/", self.again_view, "again"),
            own("<uuid:job_id>/download/", self.download_view, "download"),
            own("<uuid:job_id>/link/", self.link_view, "link"),
            own("<uuid:job_id>/receipt/", self.receipt_view, "receipt"),
            *new.urls(self.admin_site),
            *super().get_urls(),
        ]

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return new.view(request, self.admin_site.each_context(request) | {"opts": self.opts})

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self._of_job(request, object_id, lambda job: self._page(request, "job.html", page.context(request.user, job)))

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The states of `?ids=…`; jobs that are not visible are left out."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        ids = [uuid.UUID(text) for text in request.GET.get("ids", "").split(",")[: shown.LIVE_MOST] if UUID_TEXT.fullmatch(text)]
        return JsonResponse({"jobs": shown.states(request.user, ids)})

    def verb_view(self, request: Any, job_id: uuid.UUID, verb: str) -> HttpResponse:
        """Changes the job as the button of this name says."""

        def act(job: ExportJob) -> HttpResponse:
            VERBS[verb].act(request.user, job)
            messages.success(request, VERBS[verb].said)
            return redirect(JOB_URL, job.pk)

        return self._of_job(request, job_id, act, post=True)

    def again_view(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        """Makes a new job of the same spec and shows it."""

        def act(job: ExportJob) -> HttpResponse:
            twin = new.make_again(request.user, job, request.POST.get("nonce", ""))
            messages.success(request, "The same export is made once more. Start it when you like.")
            return redirect(JOB_URL, twin)

        return self._of_job(request, job_id, act, post=True)

    def download_view(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        """Sends the browser to a link that serves and logs."""
        return self._of_job(request, job_id, lambda job: HttpResponseRedirect(files.link(request.user, files.of_job(job))))

    def link_view(self, request: Any, job_id: uuid.UUID) -> HttpResponse:
        """The `url` of a link to the file that works for an hour, for its maker; or a `message` why there is none."""
        try:
            url = files.link(request.user, files.of_job(jobs.get(request.user, job_id)))
        except AppError as error:
            return JsonResponse({"message": error.message}, status=error.status)
        return JsonResponse({"url": request.build_absolute_uri(url)}, headers={"Cache-Control": "no-store"})

    def receipt_view(self, request: HttpRequest, job_id: uuid.UUID) -> HttpResponse:
        """The signed receipt as JSON; it stays when the file has expired."""

        def act(job: ExportJob) -> HttpResponse:
            file = getattr(job, "file", None)
            if file is None or job.status != JobStatus.DONE:
                raise Conflict(f"The job is {job.status}; there is a receipt once it is done.")
            return JsonResponse(file.receipt, json_dumps_params={"indent": 2, "ensure_ascii": False})

        return self._of_job(request, job_id, act)

    def _of_job(self, request: HttpRequest, job_id: Any, act: Callable[[ExportJob], HttpResponse], *, post: bool = False) -> HttpResponse:
        """`act`'s answer for a visible job; a refusal becomes a message on the job's page, and so does a look at the address of a button."""
        try:
            job = jobs.get(request.user, unquote(str(job_id)))
        except NotFound:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(job_id))  # type: ignore[attr-defined]
        try:
            if not post or request.method == "POST":
                return act(job)
            messages.info(request, PRESS_AGAIN)
        except Gone:
            messages.error(request, "The file has expired. Make again runs the same export once more.")
        except AppError as error:
            messages.error(request, error.message)
        return redirect(JOB_URL, job.pk)

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        base = self.admin_site.each_context(request) | {"opts": self.opts}
        return TemplateResponse(request, f"admin/exports/exportjob/{template}", base | context)
