"""Roles become actions, and a user becomes the set of rows it may see."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from taskexport import ids
from taskexport.errors import Forbidden, NotFound, Unauthenticated
from tasks.models import AccessToken, Member, Organization, Platform, Role, User


class Action(StrEnum):
    """What a role is asked for."""

    READ = "read"  # look, and download what others exported
    WRITE = "write"  # tasks and records
    RUN = "run"  # make, start and stop export jobs of one's own
    ADMINISTER = "administer"  # other people's jobs, members, settings, deletes


ROLE_ACTIONS: dict[str, frozenset[Action]] = {
    Role.VIEWER: frozenset({Action.READ}),
    Role.EDITOR: frozenset({Action.READ, Action.WRITE, Action.RUN}),
    Role.ADMIN: frozenset(Action),
}

USE_NOTED_EVERY = timedelta(minutes=5)  # a token's use, so that not each call writes

AnyModel = TypeVar("AnyModel", bound=Model)


def organizations(user: Any, action: Action = Action.READ) -> QuerySet[Organization]:
    """The organizations in which the user may do this; none for the anonymous and the inactive."""
    if user is None or not user.is_authenticated or not user.is_active:
        return Organization.objects.none()
    if user.is_superuser:
        return Organization.objects.all()
    roles = [role for role, actions in ROLE_ACTIONS.items() if action in actions]
    member_of = Q(pk__in=Member.objects.filter(user=user, role__in=roles).values("organization"))
    if action is Action.READ:
        member_of |= Q(platform__in=user.owned_platforms.values("pk"))
    return Organization.objects.filter(member_of)


def organization_ids(user: Any, action: Action = Action.READ) -> list[int]:
    """The ids of these organizations."""
    return list(organizations(user, action).order_by("pk").values_list("pk", flat=True))


def platforms(user: Any) -> QuerySet[Platform]:
    """The platforms that the user owns, all of them for superusers; none for the anonymous and the inactive."""
    if user is None or not user.is_authenticated or not user.is_active:
        return Platform.objects.none()
    return Platform.objects.all() if user.is_superuser else Platform.objects.filter(owners=user)


def visible_to(rows: QuerySet[AnyModel], user: Any, action: Action = Action.READ) -> QuerySet[AnyModel]:
    """Those of the rows (of any model with an `organization`) on which the user may do this."""
    if user is not None and user.is_authenticated and user.is_active and user.is_superuser:
        return rows
    return rows.filter(organization__in=organizations(user, action).values("pk"))


def listed_for(rows: QuerySet[AnyModel], user: Any, action: Action = Action.READ) -> QuerySet[AnyModel]:
    """The same for long lists, at the price of a query: by ids in place of a subquery the list stays one walk along an index."""
    if user is not None and user.is_authenticated and user.is_active and user.is_superuser:
        return rows
    return rows.filter(organization__in=organization_ids(user, action))


def can(user: Any, action: Action, organization: Organization | int | None) -> bool:
    """Whether the user may do this in the organization (None: only superusers)."""
    if organization is None:
        return bool(user is not None and user.is_active and user.is_superuser)
    pk = organization.pk if isinstance(organization, Organization) else organization
    return organizations(user, action).filter(pk=pk).exists()


def require(user: Any, action: Action, organization: Organization | int | None) -> None:
    """Raises NotFound where the user sees nothing of the organization, Forbidden where only the role is too low."""
    if can(user, action, organization):
        return
    if not can(user, Action.READ, organization):
        raise NotFound("There is no such organization.")
    raise Forbidden(f"Your role in this organization does not allow you to {action}.")


def find_organization(user: Any, name: str, action: Action = Action.READ) -> Organization:
    """The organization of this id or uuid. Raises NotFound (also for one the user may not see), Forbidden."""
    rows = organizations(user).filter(_names(name))
    organization = rows.first()
    if organization is None:
        raise NotFound("There is no such organization.")
    require(user, action, organization)
    return organization


def _names(name: str) -> Q:
    text = str(name).strip()
    if number := ids.number(text):
        return Q(pk=number)
    compact = text.replace("-", "").lower()
    if len(compact) == 32 and all(c in "0123456789abcdef" for c in compact):
        return Q(uuid=compact)
    return Q(pk__isnull=True)


# -- Access tokens -------------------------------------------------------------------------------------------------
def _sha256(secret: str) -> str:
    # The secret is 256 random bits, so a fast hash is enough.
    return hashlib.sha256(secret.encode()).hexdigest()


def create_access_token(
    organization: Organization, *, name: str, role: Role, user: User | None = None, expires_at: datetime | None = None
) -> tuple[AccessToken, str]:
    """A new token and its `ID:SECRET` text, which is never shown again; without `user` it gets a service account of its own."""
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        if user is None:
            label = secrets.token_hex(6)
            user = User.objects.create_user(f"service-{label}@service.invalid", name=name, is_service=True)
            Member.objects.create(organization=organization, user=user, role=role, name=name)
        token = AccessToken.objects.create(organization=organization, user=user, name=name, secret_sha256=_sha256(secret), expires_at=expires_at)
    return token, f"{token.pk}:{secret}"


def revoke_access_token(token: AccessToken) -> bool:
    """Ends a token for good; False if it had been ended before."""
    return bool(AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()))


def authenticate_access_token(text: str) -> AccessToken:
    """The token that this `ID:SECRET` opens, with its user. Raises Unauthenticated."""
    number, _, secret = text.partition(":")
    token: Any = None
    if token_id := ids.number(number):
        owns_platform = Exists(Platform.objects.filter(owners=OuterRef("user")))
        token = AccessToken.objects.select_related("user", "organization").annotate(owns_platform=owns_platform).filter(pk=token_id).first()
    known = token.secret_sha256 if token else "0" * 64
    now = timezone.now()
    if (
        not hmac.compare_digest(known, _sha256(secret))
        or token is None
        or token.revoked_at is not None
        or (token.expires_at is not None and token.expires_at <= now)
        or not token.user.is_active
        or not token.user.is_service
        # A token opens one organization: its service account must be a member of that one and of no other, and see no more by other rights.
        or token.user.is_superuser
        or token.owns_platform
        or list(Member.objects.filter(user=token.user, role__isnull=False).values_list("organization", flat=True)) != [token.organization_id]
    ):
        raise Unauthenticated("This access token is unknown, revoked or expired.", code="token_invalid")
    if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
        AccessToken.objects.filter(pk=token.pk).update(last_used_at=now)
    found: AccessToken = token
    return found
