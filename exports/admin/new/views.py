"""The page itself, and what it asks while somebody fills it in."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from exports.admin.new import asked, beginning, making, offered
from exports.formats import FORMATS
from exports.services import preflight, specs
from taskexport.api.strict import decoded
from taskexport.errors import AppError, Invalid
from taskexport.staff import may_anywhere
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

TEMPLATE = "admin/exports/exportjob/new.html"
PREFLIGHT_URL, OFFERED_URL = "admin:exports_exportjob_preflight", "admin:exports_exportjob_offered"
# Whose errors have a place of their own without JavaScript; others are shown above the form.
PLAIN_FIELDS = (
    *("organization", "dataset", "name", "window", *asked.BOUNDS, "timezone"),
    *("segment_id", "type", "config_id", "format", "date_format", making.SAVE_NAME),
)


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """What the page asks, below the jobs' own address."""
    return [
        path("preflight/", site.admin_view(preflight_view), name=PREFLIGHT_URL.removeprefix("admin:")),
        path("offered/<int:organization_id>/", site.admin_view(offered_view), name=OFFERED_URL.removeprefix("admin:")),
    ]


def view(request: Any, base: dict[str, Any]) -> HttpResponse:
    """The page, and what its buttons do; `base` is the admin's own context. Raises PermissionDenied."""
    if not may_anywhere(request, Action.RUN):
        raise PermissionDenied
    errors: list[dict[str, str]] = []
    choices: dict[str, Any] = beginning.usual(request.user)
    try:
        if request.method != "POST":
            choices = beginning.choices(request)
        else:
            choices = beginning.kept(request)
            choices = asked.shaped(asked.of_form(request))
            return HttpResponseRedirect(making.act(request, choices))
    except AppError as error:
        errors = asked.refusal(error)
    return TemplateResponse(request, TEMPLATE, base | context(request, choices, errors))


def context(request: Any, choices: dict[str, Any], errors: list[dict[str, str]]) -> dict[str, Any]:
    """All that the page shows."""
    mine = list(access.organizations(request.user, Action.RUN).order_by("name", "pk").values_list("pk", "name"))
    organization = _chosen(request.user, choices)
    may = offered.may(request.user, organization)
    if organization is None and len(mine) > 1:  # which one is not known yet; JavaScript hides what is not allowed there
        administers = may_anywhere(request, Action.ADMINISTER)
        may |= {"config": administers, "segment": may_anywhere(request, Action.WRITE), "repeat": administers}
    return {
        "title": "New export",
        "choices": choices,
        "columns_of": f"{asked.CONFIG}{choices['config_id']}" if choices.get("config_id") else choices.get("type"),
        "errors": placed(errors),
        "organizations": offered.organization_choices(mine),
        "configs": [
            (f"{asked.CONFIG}{config.pk}", config.name) for config in (offered.saved_configs(request.user, organization) if organization else ())
        ],
        "segments": offered.segment_choices(request.user, organization),
        "datasets": offered.DATASET_CHOICES,
        "windows": offered.WINDOW_CHOICES,
        "columns_choices": offered.COLUMN_CHOICES,
        "formats": [(name, name.upper()) for name in FORMATS],
        "date_formats": offered.DATE_FORMAT_CHOICES,
        "zones": [("", "the organization's own"), *offered.zone_choices()],
        "first_day": asked.FIRST_DAY.isoformat(),
        "last_day": asked.LAST_DAY.isoformat(),
        "may": may,
        "nonce": uuid.uuid4(),
        "save_name": request.POST.get(making.SAVE_NAME, ""),
        "page": {
            "choices": choices,
            "errors": errors,
            "offered": offered.everything(),
            "preflight_url": reverse(PREFLIGHT_URL),
            "offered_url": reverse(OFFERED_URL, args=[0]),
        },
    }


def _chosen(user: User, choices: dict[str, Any]) -> Organization | None:
    """The chosen organization, if the user may export there."""
    try:
        return asked.organization_of(user, choices)
    except AppError:
        return None


def placed(errors: list[dict[str, str]], fields: tuple[str, ...] = PLAIN_FIELDS) -> dict[str, list[Any]]:
    """The errors by the plain field that shows them; under `all` those that stand above the form."""
    found: dict[str, list[Any]] = {}
    for error in errors:
        field, detail = error["field"], error["detail"]
        if field in fields:
            found.setdefault(field, []).append(detail)
        else:
            found.setdefault("all", []).append({"field": field, "text": f"{field}: {detail}" if field else detail})
    return found


# -- Asked while the form is filled in -----------------------------------------------------------------------------
def preflight_view(request: Any) -> HttpResponse:
    """What the choices in the body would give: `preflight`, or what they lack as `errors`, which is no failure while somebody still types."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        found = asked.checked(request.user, {"name": "Export"} | asked.shaped(decoded(request.body)))
        answer = preflight.preflight(request.user, found.organization, found.wish.spec)
    except Invalid as error:
        return JsonResponse({"errors": asked.refusal(error)})
    except AppError as error:
        return JsonResponse({"errors": asked.refusal(error)}, status=error.status)
    spec = found.wish.spec
    return JsonResponse({"preflight": asdict(answer), "in_words": specs.in_words(spec), "window": list(beginning.bounds_of(spec).values())})


def offered_view(request: HttpRequest, organization_id: int) -> HttpResponse:
    """What one organization has to choose from."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    try:
        organization = asked.organization_of(request.user, {"organization": organization_id})  # type: ignore[arg-type]
    except AppError as error:
        return JsonResponse({"errors": asked.refusal(error)}, status=error.status)
    return JsonResponse(offered.of_organization(request.user, organization))  # type: ignore[arg-type]
