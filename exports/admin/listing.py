"""What the list of jobs offers: its filters, and its buttons for many jobs at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

from exports.admin.page import MOVES
from exports.formats import FORMATS
from exports.models import ExportJob
from exports.services import bundles, specs
from exports.services.schedules import keeping
from taskexport import ids
from taskexport.errors import AppError
from taskexport.staff import WordsFilter
from tasks import access
from tasks.models import Member

AT_ONCE = 200  # jobs moved by one press of a button
CHOICES_SHOWN = 200  # of people and of schedules; more are reached by an address


class TypeFilter(WordsFilter):
    """By type."""

    title = "type"
    parameter_name = "type"
    words = {name: name for name in specs.TYPES}


class FormatFilter(WordsFilter):
    """By format."""

    title = "format"
    parameter_name = "format"
    words = {name: name.upper() for name in FORMATS}


class _Id(admin.SimpleListFilter):
    """By the id of a row that the user sees; an address may name one that is not offered."""

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        return queryset.filter(self.condition(request, ids.number(self.value())))

    def condition(self, request: HttpRequest, number: int) -> Q:
        raise NotImplementedError


class MakerFilter(_Id):
    """By who made it: people with a role in the organizations that the user sees, oneself first."""

    title = "owner"
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        user: Any = request.user
        seen = access.organizations(user)
        rows = Member.objects.filter(organization__in=seen.values("pk"), role__isnull=False, user__isnull=False).exclude(user=user)
        people = rows.order_by("user__name", "user__email", "user").values_list("user", "user__name", "user__email").distinct()
        return [(str(user.pk), "me"), *((str(pk), name or email) for pk, name, email in people[:CHOICES_SHOWN])]

    def condition(self, request: HttpRequest, number: int) -> Q:
        return Q(created_by=number)


class ScheduleFilter(_Id):
    """By the schedule whose run it is."""

    title = "schedule"
    parameter_name = "schedule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        rows = keeping.visible(request.user).order_by("name", "pk")
        return [(str(pk), name) for pk, name in rows.values_list("pk", "name")[:CHOICES_SHOWN]]

    def has_output(self) -> bool:
        return bool(self.lookup_choices)

    def condition(self, request: HttpRequest, number: int) -> Q:
        return Q(pk__in=keeping.job_ids(request.user, number))


# -- Many at once --------------------------------------------------------------------------------------------------
def _in_bulk(name: str) -> Any:
    @admin.action(description=f"{MOVES[name].label} selected export jobs", permissions=["run"])
    def act(modeladmin: Any, request: HttpRequest, queryset: QuerySet[ExportJob]) -> None:
        chosen = list(queryset[: AT_ONCE + 1])
        if len(chosen) > AT_ONCE:
            messages.error(request, f"Choose at most {AT_ONCE} jobs at once; nothing was changed.")
            return
        moved = [job for job in chosen if _moves(request, name, job)]
        if moved:
            messages.success(request, f"{MOVES[name].label}: {len(moved)} of {len(chosen)} done.")

    act.__name__ = name
    return act


def _moves(request: Any, name: str, job: ExportJob) -> bool:
    try:
        MOVES[name].act(request.user, job)
    except AppError as error:
        messages.error(request, f"{job.name}: {error.message}")
        return False
    return True


@admin.action(description="Download selected export jobs as one zip", permissions=["view"])
def download(modeladmin: Any, request: Any, queryset: QuerySet[ExportJob]) -> HttpResponseBase | None:
    """The files of the chosen jobs in one zip, or a message why not."""
    try:
        name, pieces = bundles.of_jobs(request.user, list(queryset[: bundles.MOST_FILES + 1]))
    except AppError as error:
        messages.error(request, error.message)
        return None
    headers = {"Content-Disposition": str(content_disposition_header(True, name)), "Cache-Control": "private, no-store"}
    return StreamingHttpResponse(pieces, content_type="application/zip", headers=headers)


ACTIONS = [*(_in_bulk(name) for name in MOVES), download]
