"""What our screens have in common: a list by Django, and pages and buttons of our own, each of which asks one service."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from taskexport import idempotency
from taskexport.errors import AppError, NotFound
from taskexport.staff import LongPaginator, OrganizationFilter, may_anywhere, may_in, sees_many
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

# Whoever was signed out meanwhile comes from the sign-in page to the address of the button, without what the button sends.
PRESS_AGAIN = "Nothing was done yet: press the button again."


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
    change_list_template = "admin/taskexport/list.html"
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
        """`act`'s answer for a visible row; a refusal becomes a message on the row's page, and so does a look at the address of a button."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            row = self.find(request, key)
        except NotFound:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(key))  # type: ignore[attr-defined]
        try:
            if not post or request.method == "POST":
                return act(row)
            messages.info(request, PRESS_AGAIN)
        except AppError as error:
            messages.error(request, error.message)
        return redirect(self.url("change", row.pk))

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        """A page of this screen, from `templates/admin/APP/MODEL/` unless it says where."""
        base = self.admin_site.each_context(request) | {"opts": self.opts, "list_title": self.list_title, "list_url": self.url("changelist")}
        return TemplateResponse(
            request, template if "/" in template else f"admin/{self.opts.app_label}/{self.opts.model_name}/{template}", base | context
        )

    def ask(self, request: HttpRequest, row: Any, submit: str, texts: tuple[str, ...], extra: str = "") -> HttpResponse:
        """Asks once more before a button does what can't be undone; `extra` is sent along with the yes."""
        parent = {"parent": str(row), "parent_url": self.url("change", row.pk)}
        said = {"title": f"{submit} {row}?", "submit": submit, "verb": submit.lower(), "texts": texts, "extra": extra}
        return self.page(request, "admin/taskexport/ask.html", said | parent)

    def show_secret(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """The one page that shows a `secret`, with `title`, `why` and `next_url`; no cache keeps a page of the admin."""
        return self.page(request, "admin/taskexport/secret.html", context)


class AskingForm(forms.Form):
    """Asks a service for something in one of the user's organizations; the fields are named as the service names them, or as `names` says."""

    organization = forms.ModelChoiceField(Organization.objects.none(), empty_label="Choose…")
    nonce = forms.UUIDField(widget=forms.HiddenInput())
    version = forms.IntegerField(required=False, max_value=2**31 - 1, widget=forms.HiddenInput())  # of the row, as it was when the form was shown
    names: ClassVar[dict[str, str]] = {}

    def __init__(self, user: User, data: Any = None, *, action: Action, row: Any = None, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial={"nonce": uuid.uuid4(), "version": getattr(row, "version", None), **(initial or {})}, label_suffix="")
        self.user, self.row = user, row
        if row is not None:  # what is there never moves
            del self.fields["organization"], self.fields["nonce"]
            return
        del self.fields["version"]
        mine = access.organizations(user, action)
        field: Any = self.fields["organization"]
        field.queryset = mine
        only = list(mine[:2])
        if len(only) == 1:
            field.initial, field.empty_label = only[0].pk, None

    def refuse(self, error: AppError) -> None:
        """Shows a service's refusal at the fields it names, or above the form."""
        for one in error.fields:
            name = self.names.get(one.field, one.field)
            self.add_error(name if name in self.fields else None, one.detail)
        if self.row is not None and error.code == "stale_version":
            overtaken(self, self.row.version)
        elif not error.fields:
            self.add_error(None, error.message)

    def once(self, make: Callable[[], Any]) -> Any:
        """`make()`'s answer; None where this same form was sent before. Raises AppError."""
        return once(self.user, f"{type(self).__name__} {self.cleaned_data['nonce']}", make)


def once(user: User, nonce: str, make: Callable[[], Any]) -> Any:
    """`make()`'s answer; None where the form of this nonce was sent before, and what it makes is there. Raises AppError."""
    made: list[Any] = []

    def create() -> idempotency.Answer:
        made.append(make())
        return idempotency.Answer(201, {})

    digest = hashlib.sha256(nonce.encode()).hexdigest()
    idempotency.once(user, f"staff-{digest}", digest, create)
    return made[0] if made else None


def meanwhile(version: int) -> str:
    """What a form says whose row somebody else has changed; sent again with this version, it takes the other's place."""
    return (
        f"Somebody changed it meanwhile: it is at version {version} now. What you wrote is still here. Save it again to put it in the other's"
        " place, or cancel to see that."
    )


def overtaken(form: forms.Form, version: int) -> None:
    """Has a form whose row is at another version by now say so, and take the other's place when it is sent again."""
    data: Any = form.data
    form.data = data = data.copy()
    data["version"] = str(version)
    form.add_error(None, meanwhile(version))


def badge(word: str, tone: str) -> SafeString:
    """A word with a shape and a colour: ok, wait, work, bad or off."""
    return format_html('<span class="badge badge-{}">{}</span>', tone, word)
