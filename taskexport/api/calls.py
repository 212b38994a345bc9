"""What every contract's calls share: who asks, in which organization, once or again, page by page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport import idempotency
from taskexport.errors import FieldError, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import AccessToken, Organization, User

ORGANIZATION_HEADER = "X-Organization"
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": idempotency.KEY_LENGTH},
    OpenApiParameter.HEADER,
    description="Of the caller's own making, such as a UUID: the same call with the same key does its work once.",
)


def user_of(request: Request) -> User:
    """The signed-in user."""
    assert isinstance(request.user, User)  # noqa: S101 - IsAuthenticated has let nobody else in
    return request.user


def organization_of(request: Request, action: Action = Action.READ) -> Organization:
    """The organization that a call is about where its contract has no field for it: the access token's, the one that
    `X-Organization` names (id or uuid), or the only one of the user. Raises Invalid `organization_required`, NotFound, Forbidden."""
    name = request.headers.get(ORGANIZATION_HEADER)
    if name is None and isinstance(request.auth, AccessToken):
        name = str(request.auth.organization_id)
    if name is None:
        mine = list(access.organizations(request.user).values_list("pk", flat=True)[:2])
        if len(mine) != 1:
            code, detail = "organization_required", "Say which organization by this header, its id or uuid."
            raise Invalid(f"{ORGANIZATION_HEADER}: {detail}", code=code, fields=[FieldError(ORGANIZATION_HEADER, code, detail)])
        name = str(mine[0])
    return access.find_organization(request.user, name, action)


def answer_once(request: Request, make: Callable[[], idempotency.Answer]) -> Response:
    """What `make` answers, or with an `Idempotency-Key` that the caller has used for the same call, what it answered then."""
    body = json.dumps(request.data, sort_keys=True)  # the same wish, however its JSON was laid out
    path = request.path.rstrip("/")
    named = request.headers.get(ORGANIZATION_HEADER)
    call = idempotency.fingerprint(str(request.method), f"{path} {named}" if named else path, body.encode())
    answer = idempotency.once(user_of(request), request.headers.get("Idempotency-Key"), call, make)
    return Response(answer.body, status=answer.status, headers=answer.headers)


def stamp(moment: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# -- Pages by cursor: the last row's place in the order, so that rows which come meanwhile shift nothing -----------
def next_link(request: Request, *place: Any) -> str:
    """The `Link` header to the rows behind this place; its parts hold no spaces."""
    params = request.query_params.copy()
    params.pop("page", None)
    params["cursor"] = base64.urlsafe_b64encode(" ".join(map(str, place)).encode()).decode()
    return f'<{request.build_absolute_uri(request.path)}?{params.urlencode()}>; rel="next"'


def cursor_parts(cursor: str) -> list[str]:
    """The parts that `next_link` was given. Raises ValueError."""
    return base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")


@contextmanager
def reading_cursor() -> Iterator[None]:
    """Whatever is wrong with a cursor inside is the caller's. Raises Invalid."""
    try:
        yield
    except (ValueError, OverflowError):
        raise Invalid.field("cursor", "Take the cursor from the Link header of the page before.") from None
