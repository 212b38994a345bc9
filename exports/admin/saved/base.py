"""What the screens of configs and of segments have in common: a page to look, a form with conditions, and a way out."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, reverse

from exports.admin.new import asked, making, offered
from exports.admin.new.views import OFFERED_URL, PREFLIGHT_URL, placed
from exports.services import preflight, specs
from taskexport import ids
from taskexport.api.strict import decoded
from taskexport.errors import AppError, FieldError, Invalid, NotFound
from taskexport.screens import Screen, meanwhile
from taskexport.staff import may_in
from tasks import access
from tasks.access import Action
from tasks.models import Organization

PLAIN_FIELDS = ("organization", "name", "description", "dataset", "segment_id", "timezone", "date_format")
HERE = {"index": "dataset", "segment": "segment_id"}  # how the form calls a service's fields
MOST_USES = 50  # named on a page


class SavedScreen(Screen):
    """Rows that exports are made by; `add_action` also changes them, `remove_action` deletes them."""

    remove_action = Action.ADMINISTER
    kind = ""  # config or segment
    search_fields = ("name",)
    search_help_text = "A part of the name"
    ordering = ("name", "pk")

    # -- What a screen says of its own -----------------------------------------------------------------------------
    def facts(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page of a row shows beside what all of them do: `in_words`, `columns`, `choices` of an export by it."""
        raise NotImplementedError

    def begun(self, row: Any | None) -> dict[str, Any]:
        """What the form begins with; `unread` says what of a row can't be read any more."""
        raise NotImplementedError

    def save(self, request: Any, organization: Organization, row: Any | None, values: dict[str, Any]) -> Model:
        """Keeps the form's values by the service. Raises AppError."""
        raise NotImplementedError

    def remove(self, request: Any, row: Any) -> None:
        """Deletes by the service. Raises AppError."""
        raise NotImplementedError

    def uses(self, row: Any) -> list[tuple[str, str]]:
        """What uses the row: names and addresses."""
        found = row.schedules.order_by("name", "pk").values_list("pk", "name")[:MOST_USES]
        return [(f"schedule {name}", reverse("admin:exports_exportschedule_change", args=[pk])) for pk, name in found]

    # -- Routes ----------------------------------------------------------------------------------------------------
    def get_urls(self) -> list[URLPattern]:
        return [
            self.own("<int:key>/edit/", self.edit_view, "edit"),
            self.own("<int:key>/remove/", self.remove_view, "remove"),
            *super().get_urls(),
        ]

    def page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        return super().page(request, f"admin/exports/saved/{template}", {"kind": self.kind} | context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(row: Any) -> HttpResponse:
            context = {
                "title": row.name,
                "row": row,
                "uses": self.uses(row),
                "may_export": may_in(request, Action.RUN, row.organization_id),
                "may_repeat": may_in(request, Action.ADMINISTER, row.organization_id),
                "may_change": self._may_change(request, row),
                "may_remove": may_in(request, self.remove_action, row.organization_id),
                "new_url": reverse("admin:exports_exportjob_add"),
                "repeat_url": reverse("admin:exports_exportschedule_add"),
            }
            return self.page(request, "saved.html", context | self.facts(request, row))

        return self.of_row(request, object_id, act)

    def _may_change(self, request: HttpRequest, row: Any) -> bool:
        return self.add_action is not None and may_in(request, self.add_action, row.organization_id)

    # -- Adding and changing ---------------------------------------------------------------------------------------
    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._form(request, None)

    def edit_view(self, request: Any, key: int) -> HttpResponse:
        """The form of a row that is there."""

        def act(row: Any) -> HttpResponse:
            if not self._may_change(request, row):
                raise PermissionDenied
            return self._form(request, row)

        return self.of_row(request, key, act)

    def _form(self, request: Any, row: Any | None) -> HttpResponse:
        errors: list[dict[str, str]] = []
        values = self.begun(row)
        try:
            if request.method == "POST":
                values |= _plain(request)
                values |= _spec(request)
                organization = row.organization if row else _organization(request, self.add_action)
                content = [f"save-{self.kind}", making.nonce_of(request), row and row.pk, values]
                pk = making.once(request.user, content, lambda: self.save(request, organization, row, values).pk)
                messages.success(request, f"The {self.kind} is saved.")
                return redirect(self.url("change", pk))
        except AppError as error:
            errors = [found | {"field": HERE.get(found["field"], found["field"])} for found in asked.refusal(error)]
            if row and error.code == "stale_version":
                values["version"] = row.version
                errors = [{"field": "", "detail": meanwhile(row.version)}]
        title = f"Edit {row.name}" if row else f"New {self.kind}"
        return self.page(request, "form.html", {"title": title, "row": row, **self._form_context(request, row, values, errors)})

    def _form_context(self, request: Any, row: Any | None, values: dict[str, Any], errors: list[dict[str, str]]) -> dict[str, Any]:
        mine = access.organizations(request.user, self.add_action or Action.READ).order_by("name", "pk").values_list("pk", "name")
        organizations = [(row.organization_id, str(row.organization))] if row else list(mine)
        if not values.get("organization") and len(organizations) == 1:
            values["organization"] = organizations[0][0]
        return {
            "values": values,
            "errors": placed(errors, PLAIN_FIELDS),
            "organizations": offered.organization_choices(organizations),
            "datasets": offered.DATASET_CHOICES,
            "segments": self._segments(request, values),
            "date_formats": offered.DATE_FORMAT_CHOICES,
            "zones": offered.zone_choices(),
            "nonce": uuid.uuid4(),
            "cancel_url": self.url("change", row.pk) if row else self.url("changelist"),
            "script": {
                "choices": values,
                "errors": errors,
                "offered": offered.everything(),
                "kind": self.kind,
                "preflight_url": reverse(PREFLIGHT_URL),
                "offered_url": reverse(OFFERED_URL, args=[0]),
            },
        }

    def _segments(self, request: Any, values: dict[str, Any]) -> list[tuple[int | str, str]]:
        """What a config may take its rows from; another organization's are fetched when it is chosen."""
        organization = access.organizations(request.user).filter(pk=values.get("organization") or 0).first() if self.kind == "config" else None
        return offered.segment_choices(request.user, organization)

    def remove_view(self, request: Any, key: int) -> HttpResponse:
        """Asks once more, says what uses the row, and deletes it."""

        def act(row: Any) -> HttpResponse:
            if not may_in(request, self.remove_action, row.organization_id):
                raise PermissionDenied
            if request.method != "POST":
                return self.page(request, "remove.html", {"title": f"Delete {row.name}?", "row": row, "uses": self.uses(row)})
            self.remove(request, row)
            messages.success(request, f"{row.name}: deleted. Exports that were made by it stay.")
            return redirect(self.url("changelist"))

        return self.of_row(request, key, act)


def matching(organization: Organization, values: dict[str, Any], config: Any = None, segment: dict[str, Any] | None = None) -> str:
    """How many rows of all time an export by this would have now, in words; why that can't be said, where it can't."""
    wish = {"org_name": "-", "name": "-", "type": "custom", "timezone": organization.timezone, **specs.EVER, **values}
    try:
        rows, exact = preflight.count(organization, specs.make(wish, config, segment=segment).spec)
    except AppError as error:
        return error.message
    return f"{rows:,}" if exact else f"about {rows:,}"


# -- What was sent -------------------------------------------------------------------------------------------------
def _plain(request: HttpRequest) -> dict[str, Any]:
    sent = {name: request.POST[name] for name in ("name", "description", "dataset", "timezone", "date_format") if name in request.POST}
    found: dict[str, Any] = {name: text.replace("\r\n", "\n") for name, text in sent.items()}
    for name in ("organization", "version", "segment_id"):
        if name in request.POST:
            found[name] = ids.number(request.POST[name]) or None
    return found


def _spec(request: HttpRequest) -> dict[str, Any]:
    """The part that JavaScript keeps: `columns` and `filter`; nothing without it. Raises Invalid."""
    text = request.POST.get("spec", "")
    if not text:
        return {}
    found = decoded(text.encode("utf-8", "surrogatepass"))
    if not isinstance(found, dict) or not set(found) <= {"columns", "filter"}:
        raise Invalid("The form was not sent whole; send it once more.")
    return found


def _organization(request: Any, action: Any) -> Organization:
    with contextlib.suppress(NotFound):
        return access.find_organization(request.user, request.POST.get("organization", ""), action)
    raise Invalid("organization: Choose an organization.", fields=[FieldError("organization", "required", "Choose an organization.")])
