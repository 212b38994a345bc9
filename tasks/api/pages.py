"""Which page of a list a call wants, and the link to the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, unquote

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport.api.calls import ORGANIZATION_HEADER, cursor_parts, next_link, reading_cursor
from taskexport.api.strict import whole_number
from taskexport.api.views import number_parameter
from taskexport.errors import Invalid
from tasks.api.fields import MOST_ID
from tasks.lists import Order, ids_behind, in_order

PER_PAGE, PER_PAGE_MOST = 25, 100
PAGE_MOST = 1_000_000
KEYS = {"page", "per_page", "cursor"}
PARAMETERS = [
    number_parameter("page", PAGE_MOST),
    number_parameter("per_page", PER_PAGE_MOST, description=f"{PER_PAGE} unless said, at most {PER_PAGE_MOST}."),
    OpenApiParameter("cursor", str, description="From `Link: rel=next`; in place of `page`."),
]
HEADER = OpenApiParameter(ORGANIZATION_HEADER, str, OpenApiParameter.HEADER, description="The id or uuid of the organization, for who has several.")


@dataclass(frozen=True)
class Page:
    """What is wanted: a page by its number, or what follows a place in the order."""

    order: Order
    number: int
    per_page: int
    place: tuple[Any, int] | None = None


def page_of(query: dict[str, str], order: Order, read: Callable[[str], Any]) -> Page:
    """The page that the query wants in this order; `read` reads the order's column from a cursor's text. Raises Invalid."""
    if {"page", "cursor"} <= set(query):
        raise Invalid.field("cursor", "Send page or cursor, not both.")
    number, per_page = whole_number(query, "page", 1, PAGE_MOST), whole_number(query, "per_page", PER_PAGE, PER_PAGE_MOST)
    place = None
    if "cursor" in query:
        with reading_cursor():
            column, direction, text, last = cursor_parts(query["cursor"])
            text = unquote(text)
            if (column, direction) != _name(order) or "\0" in text:  # no database takes a NUL
                raise ValueError("a cursor of another order")
            place = (None if text == "-" else read(text[1:]), int(last))
            if not 0 <= place[1] <= MOST_ID:
                raise ValueError("no id")
    return Page(order, number, per_page, place)


def answer(request: Request, page: Page, rows: QuerySet[Any], load: Callable[[list[int]], list[Any]], present: Callable[[Any], Any]) -> Response:
    """The page as a bare array, with a `Link` to the next one.

    Ids come first, out of an index alone however deep the page is; then `load` fetches these rows, whose order is restored here.
    """
    ids = _ids(page, rows)
    by_id = {row.pk: row for row in load(ids[: page.per_page])}
    found = [by_id[pk] for pk in ids[: page.per_page] if pk in by_id]  # one may be deleted in between
    response = Response([present(row) for row in found])
    if len(ids) > page.per_page and found:
        last = found[-1]
        response["Link"] = next_link(request, *_name(page.order), _written(last, page.order), last.pk)
    return response


def _ids(page: Page, rows: QuerySet[Any]) -> list[int]:
    if page.place is not None:
        return ids_behind(rows, page.order, *page.place, page.per_page + 1)
    start = (page.number - 1) * page.per_page
    return list(in_order(rows, page.order).values_list("pk", flat=True)[start : start + page.per_page + 1])


def _name(order: Order) -> tuple[str, str]:
    return order.column, "desc" if order.descending else "asc"


def _written(row: Model, order: Order) -> str:
    value = getattr(row, order.column)
    if value is None:
        return "-"
    return "." + quote(value.isoformat() if isinstance(value, date) else str(value), safe="")


def read_time(text: str) -> datetime:
    """A time of a cursor. Raises ValueError, OverflowError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("no zone")
    return found.astimezone(UTC)
