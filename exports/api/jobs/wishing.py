"""What the body of a create asks for, wherever one is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.request import Request

from exports.api.jobs import shapes
from exports.models import Runner
from exports.services import configs, segments, specs
from taskexport.api.strict import parse_body
from taskexport.errors import FieldError, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

Row = TypeVar("Row")


def asked(request: Request) -> tuple[dict[str, Any], Organization]:
    """A create's body, and the organization that it names. Raises Invalid, NotFound, Forbidden."""
    body = parse_body(shapes.JobCreate, request)
    return body, access.find_organization(request.user, body["org_id"], Action.RUN)


def wished(user: User, organization: Organization, body: dict[str, Any]) -> tuple[specs.Wish, dict[str, Any]]:
    """What this body asks for, checked, and how `jobs.create` shall make it (`runner`, `notify`).

    Raises Invalid; NotFound, which names the field, for a config or a segment that is not there.
    """
    config = _saved(body, "config_id", lambda pk: configs.get(user, organization, pk))
    segment = _saved(body, "segment_id", lambda pk: segments.get(user, pk, organization))
    wish = specs.make(body, config, segment=segments.definition(segment) if segment else None)
    return wish, {"runner": Runner(body.get("runner", Runner.INTERNAL)), "notify": body.get("notify", False)}


def _saved(body: dict[str, Any], field: str, get: Callable[[int], Row]) -> Row | None:
    try:
        return get(body[field]) if field in body else None
    except NotFound as error:
        raise NotFound(error.message, fields=[FieldError(field, "unknown", error.message)]) from None
