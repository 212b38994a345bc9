"""Access tokens as an organization's admins keep them: made, looked at, revoked; never changed, and their secrets never shown twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from taskexport.errors import FieldError, Forbidden, Invalid, NotFound
from tasks import access
from tasks.access import Action
from tasks.models import AccessToken, Member, Organization, Role, User

NAME_LENGTH = 200


def visible(user: Any) -> QuerySet[AccessToken]:
    """The tokens of the organizations that the user administers, newest first, each with its account's `given_role`."""
    theirs = Member.objects.filter(user=OuterRef("user"), organization=OuterRef("organization"))
    rows = AccessToken.objects.select_related("organization").annotate(given_role=Subquery(theirs.values("role")[:1]))
    return access.visible_to(rows, user, Action.ADMINISTER).order_by("-created_at", "-pk")


def get(user: Any, token_id: int) -> AccessToken:
    """One token, for its organization's admins. Raises NotFound."""
    found = visible(user).filter(pk=token_id).first() if 0 < token_id < 2**63 else None
    if found is None:
        raise NotFound("There is no such access token.")
    return found


def create(user: User, organization: Organization, name: str, role: str, expires_at: datetime | None) -> tuple[AccessToken, str]:
    """A new token with a service account of its own, and its `ID:SECRET`, which is never shown again. Raises Invalid, Forbidden, NotFound."""
    access.require(user, Action.ADMINISTER, organization)
    errors = []
    if not name.strip() or len(name) > NAME_LENGTH or "\0" in name:
        errors.append(FieldError("name", "invalid", f"Write 1 to {NAME_LENGTH} characters."))
    if role not in Role.values:
        errors.append(FieldError("role", "invalid", f"Write one of: {', '.join(Role.values)}."))
    if expires_at is not None and expires_at <= timezone.now():
        errors.append(FieldError("expires_at", "invalid", "This is in the past; choose a later day."))
    if errors:
        raise Invalid.all(errors)
    return access.create_access_token(organization, name=name.strip(), role=Role(role), expires_at=expires_at)


def revoke(user: User, token: AccessToken) -> bool:
    """Ends it for good; False if it had been ended before. Raises Forbidden, NotFound."""
    if not access.can(user, Action.ADMINISTER, token.organization_id):
        access.require(user, Action.READ, token.organization_id)
        raise Forbidden("Only an admin may revoke an access token.")
    return access.revoke_access_token(token)


def state(token: AccessToken) -> str:
    """Whether it opens: active, expired or revoked."""
    if token.revoked_at:
        return "revoked"
    return "expired" if token.expires_at and token.expires_at <= timezone.now() else "active"
