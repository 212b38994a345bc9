"""The admin's kit: its sign-in, our roles asked once a request, and a filter by organization. Django's own permissions are not used."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.core.exceptions import ValidationError
from django.core.paginator import EmptyPage, Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from taskexport.api.auth import LoginThrottle
from tasks import access, lists
from tasks.access import Action


class SignInForm(AdminAuthenticationForm):
    """E-mail and password; an address has as many tries as with the API, of both doors together, and a refused one looks at no password."""

    throttle_scope = "login"

    def clean(self) -> dict[str, Any]:
        if not LoginThrottle().allow_request(self.request, self):  # type: ignore[arg-type]
            raise ValidationError("Too many sign-ins from this address. Wait a minute, and try again.", code="throttled")
        found: dict[str, Any] = super().clean()
        return found


def _answers(request: HttpRequest) -> dict[Any, bool]:
    # The admin asks for the same right a dozen times a page; a role that changes meanwhile counts from the next request on.
    answers: dict[Any, bool] = vars(request).setdefault("_role_answers", {})
    return answers


def may_anywhere(request: HttpRequest, action: Action) -> bool:
    """Whether the user may do this in any organization."""
    answers = _answers(request)
    if action not in answers:
        answers[action] = access.organizations(request.user, action).exists()
    return answers[action]


def may_in(request: HttpRequest, action: Action, organization: int | None) -> bool:
    """Whether the user may do this in this organization (None: only superusers)."""
    answers = _answers(request)
    if (action, organization) not in answers:
        answers[action, organization] = access.can(request.user, action, organization)
    return answers[action, organization]


def sees_many(request: HttpRequest) -> bool:
    """Whether the user sees more than one organization, so that lists must say whose a row is."""
    answers = _answers(request)
    if sees_many not in answers:
        answers[sees_many] = len(access.organizations(request.user)[:2]) > 1
    return answers[sees_many]


# -- Choices on their way from one page to another ------------------------------------------------------------------
NEW_EXPORT = "admin:exports_exportjob_add"
MOST_DRAFTS = 10  # kept in a session; the oldest goes


def hand_over(request: HttpRequest, choices: dict[str, Any], to: str = NEW_EXPORT) -> str:
    """The address of a page that begins with these choices, such as `/admin/exports/exportjob/add/?draft=KEY`.

    They are what `exports.admin.new` takes, all of them optional: `organization` (id), `name`, `dataset`, `type` with `columns` or
    `config_id`, `segment_id`, `filter`, `sort`, `window` or two days, `format` with `options`, `timezone`, `date_format`. They wait in the
    person's session, however long they are, and are checked like anything that a person sends.
    """
    drafts: dict[str, Any] = request.session.get("drafts", {})
    key = secrets.token_hex(8)
    request.session["drafts"] = dict([*drafts.items(), (key, choices)][-MOST_DRAFTS:])
    return f"{reverse(to)}?draft={key}"


def handed_over(request: HttpRequest) -> dict[str, Any] | None:
    """The choices that wait for this page's `?draft=KEY`; None without a key, or for one that is forgotten. They stay for a reload."""
    found = request.session.get("drafts", {}).get(request.GET.get("draft", ""))
    return found if isinstance(found, dict) else None


MOST_PAGES = 10**9  # no table has more, and the database can still count to such a place


class LongPaginator(Paginator):
    """Pages of a long table: a long total is an estimate, and a page costs the same however deep it lies."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return lists.estimate(rows)

    @property
    def is_estimate(self) -> bool:
        """Whether `count` was not counted."""
        return lists.is_estimate(self.count)

    def validate_number(self, number: Any) -> int:
        try:
            return super().validate_number(number)
        except EmptyPage:
            if self.count <= lists.MANY_SHOWN or not 1 <= int(number) <= MOST_PAGES:
                raise
            return int(number)  # an estimate may be too small

    def page(self, number: Any) -> Page:
        rows: Any = self.object_list
        number = self.validate_number(number)
        return Page(lists.page(rows, (number - 1) * self.per_page, self.per_page), number, self)


class WordsFilter(admin.SimpleListFilter):
    """Offers the values of a field that there can be, in `words`, without asking the database for what is in use."""

    words: Mapping[str, str]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(str(value), word) for value, word in self.words.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class OrganizationFilter(admin.SimpleListFilter):
    """Offers the organizations that the user sees, if they are more than one."""

    title = "organization"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(str(pk), name) for pk, name in access.organizations(request.user).values_list("pk", "name")]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if value is None:
            return queryset
        return queryset.filter(organization=value) if value in dict(self.lookup_choices) else queryset.none()
