"""What tasks hang on, for ids: cases, subjects, calendars, case services, users. Read only."""

from __future__ import annotations

from typing import Any

from django.db.models import Model
from django.urls import URLPattern
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport.api.calls import stamp
from taskexport.api.strict import parse_query
from taskexport.api.views import route
from taskexport.errors import Invalid
from tasks.api import pages, shapes
from tasks.api.filters import id_of
from tasks.api.shapes import READ_ERRORS
from tasks.api.tasks import TAG
from tasks.api.where import organization_for
from tasks.lists import Order, holding
from tasks.models import Calendar, Case, CaseService, Member, Subject

ORDER = Order("name")


class CaseNamedRow(shapes.CaseNamed):
    """Something with a name."""

    created_at = serializers.DateTimeField()


class CaseSubjectRow(CaseNamedRow):
    """Whom or what a case is about."""

    casefile_id = serializers.IntegerField()


class _Rows(shapes.CaseView):
    model: type[Model]
    by_case = False

    def _list(self, request: Request) -> Response:
        query = parse_query(request, pages.KEYS | {"name"} | ({"case"} if self.by_case else set()))
        page = pages.page_of(query, ORDER, str)
        case_id = id_of(query, "case") if "case" in query else None
        rows = self.model._default_manager.filter(organization=organization_for(request, case_id))
        if case_id is not None:
            rows = rows.filter(case=case_id)
        if "name" in query:
            if not query["name"].strip():
                raise Invalid.field("name", "Write a value, or leave the parameter out.", "blank")
            rows = holding(rows, "name", query["name"])
        return pages.answer(request, page, rows, lambda ids: list(self.model._default_manager.filter(pk__in=ids)), self.present)

    def present(self, row: Any) -> dict[str, Any]:
        """The row in the contract's words."""
        return {"id": row.pk, "name": row.name, "created_at": stamp(row.created_at)}


def _documented(operation_id: str, shape: type[serializers.Serializer], *more: OpenApiParameter) -> Any:
    name = OpenApiParameter("name", str, description="A part of the name, in any case of letters.")
    parameters = [name, *more, *pages.PARAMETERS, pages.HEADER]
    return extend_schema(operation_id=operation_id, tags=[TAG], parameters=parameters, responses={200: shape(many=True), **READ_ERRORS})


class CaseListView(_Rows):
    """Cases."""

    model = Case

    @_documented("list_cases", CaseNamedRow)
    def get(self, request: Request) -> Response:
        """List the cases by name."""
        return self._list(request)


class CalendarListView(_Rows):
    """Calendars."""

    model = Calendar

    @_documented("list_calendars", CaseNamedRow)
    def get(self, request: Request) -> Response:
        """List the calendars by name."""
        return self._list(request)


class CaseServiceListView(_Rows):
    """Case services."""

    model = CaseService

    @_documented("list_case_services", CaseNamedRow)
    def get(self, request: Request) -> Response:
        """List the case services by name."""
        return self._list(request)


class SubjectListView(_Rows):
    """Subjects."""

    model = Subject
    by_case = True

    @_documented("list_subjects", CaseSubjectRow, OpenApiParameter("case", int, description="Of this case."))
    def get(self, request: Request) -> Response:
        """List the subjects by name."""
        return self._list(request)

    def present(self, row: Any) -> dict[str, Any]:
        return super().present(row) | {"casefile_id": row.case_id}


class UserListView(_Rows):
    """Users: the people of the organization, whether or not they sign in."""

    model = Member

    @_documented("list_users", shapes.CaseTaskUser)
    def get(self, request: Request) -> Response:
        """List the users by name."""
        return self._list(request)

    def present(self, row: Any) -> dict[str, Any]:
        return shapes.present_person(row)


urlpatterns: list[URLPattern] = [
    *route("v1/cases", CaseListView.as_view(), "cases"),
    *route("v1/subjects", SubjectListView.as_view(), "subjects"),
    *route("v1/calendars", CalendarListView.as_view(), "calendars"),
    *route("v1/case-services", CaseServiceListView.as_view(), "case-services"),
    *route("v1/users", UserListView.as_view(), "users"),
]
