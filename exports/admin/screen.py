"""What our screens have in common: a list by Django, and pages and buttons of our own, each of which asks one service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from taskexport.errors import AppError, NotFound
from taskexport.staff import LongPaginator, OrganizationFilter, may_anywhere, may_in, sees_many
from tasks.access import Action


class Screen(admin.ModelAdmin):
    """Rows with an `organization` that are looked at here and changed by services alone; another organization's do not exist."""

    read_action = Action.READ
    add_action: Action | None = None  # None: nobody adds one here
    list_filter: ClassVar[Any] = (OrganizationFilter,)
    list_per_page = 50
    list_max_show_all = 200
    paginator = LongPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # counting each filter reads the whole table
    actions: Any = None
    change_list_template = "admin/exports/list.html"
    list_title = ""
    empty: tuple[str, str, str] = ("Nothing here yet.", "", "")  # what is not there, what to do for who may add one, and for the rest

    # -- Rights ----------------------------------------------------------------------------------------------------
    def has_module_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, self.read_action)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_anywhere(request, self.read_action) if obj is None else may_in(request, self.read_action, obj.organization_id)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_action is not None and may_anywhere(request, self.add_action)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    # -- The list --------------------------------------------------------------------------------------------------
    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if sees_many(request) else tuple(name for name in shown if name != "organization")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        what, cure, otherwise = self.empty
        said = {"title": self.list_title, "empty_what": what, "empty_cure": cure if self.has_add_permission(request) else otherwise}
        return super().changelist_view(request, said | (extra_context or {}))

    # -- Pages and buttons -----------------------------------------------------------------------------------------
    def name(self, page: str) -> str:
        """The name of a route of this screen."""
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def url(self, page: str, *args: Any) -> str:
        """The address of a page of this screen."""
        return reverse(f"admin:{self.name(page)}", args=args)

    def own(self, route: str, view: Any, page: str) -> URLPattern:
        """A route of our own, behind the admin's door."""
        return path(route, self.admin_site.admin_view(view), name=self.name(page))

    def find(self, request: HttpRequest, key: Any) -> Any:
        """One visible row. Raises NotFound."""
        raise NotImplementedError

    def of_row(self, request: HttpRequest, key: Any, act: Callable[[Any], HttpResponse], *, post: bool = False) -> HttpResponse:
        """`act`'s answer for a visible row; a refusal becomes a message on the row's page."""
        if post and request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            row = self.find(request, key)
        except NotFound:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(key))  # type: ignore[attr-defined]
        try:
            return act(row)
        except AppError as error:
            messages.error(request, error.message)
        return redirect(self.url("change", row.pk))

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """A page of this screen, from `templates/admin/exports/MODEL/`."""
        base = self.admin_site.each_context(request) | {"opts": self.opts, "list_title": self.list_title, "list_url": self.url("changelist")}
        return TemplateResponse(request, f"admin/exports/{self.opts.model_name}/{template}", base | context)


def number(text: Any) -> int:
    """The id in an address; 0, which no row has, for anything else."""
    text = str(text)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
