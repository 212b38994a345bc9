"""What an organization's admins alone see and keep: its webhooks and its destinations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db.models import QuerySet

from exports.models import Destination, Webhook
from taskexport import seats
from taskexport.errors import NotFound, TooMany
from tasks import access
from tasks.access import Action
from tasks.models import Organization

Row = TypeVar("Row", Webhook, Destination)
RETRY_SECONDS = 5


def visible(model: type[Row], user: Any, organization: Organization | None = None) -> QuerySet[Row]:
    """Those of the organizations that the user administers, or of this one of them, by name."""
    rows: QuerySet[Row] = _rows(model)
    if organization is not None:
        rows = rows.filter(organization=organization)
    return access.visible_to(rows, user, Action.ADMINISTER).order_by("name", "pk")


def get(model: type[Row], user: Any, pk: Any) -> Row:
    """One, for its organization's admins. Raises NotFound, Forbidden."""
    found: Row | None = _rows(model).filter(pk=pk).first() if type(pk) is int and 0 < pk < 2**63 else None
    if found is None or not access.can(user, Action.READ, found.organization_id):
        raise NotFound(f"There is no such {model._meta.model_name}.")
    access.require(user, Action.ADMINISTER, found.organization_id)
    return found


@contextmanager
def testing() -> Iterator[None]:
    """Room for a test, whose caller waits for somebody else's server. Raises TooMany."""
    with seats.taken() as is_free:
        if not is_free:
            raise TooMany("Other tests wait for answers now; try again in some seconds.", code="too_many_tests", retry_after_seconds=RETRY_SECONDS)
        yield


def _rows(model: type[Row]) -> Any:
    return model._default_manager.select_related("organization", "created_by")
