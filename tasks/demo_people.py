"""The demo's organizations, and the people and the service account that sign in there."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from tasks import access
from tasks.models import AccessToken, Member, Organization, Platform, Role, User

# Published here, so they open nothing that matters: `seed_demo` refuses to run in production.
PEOPLE = {
    "admin": ("admin@acme.example", "Tulip-Windmill-1001"),
    "viewer": ("viewer@acme.example", "Canal-Bicycle-2002"),
    "outsider": ("outsider@globex.example", "Harbor-Lantern-3003"),
    "owner": ("owner@platform.example", "Summit-Compass-4004"),
}
SERVICE = "demo-exports@service.invalid"


@transaction.atomic
def make_people() -> tuple[Organization, Organization, Platform, str]:
    """Makes or renews acme, globex, their platform and people, and a new access token for acme, which comes last."""
    platform, _ = Platform.objects.get_or_create(name="Demo platform")
    acme = _organization("acme", "Acme Field Services", "Europe/Amsterdam", platform)
    globex = _organization("globex", "Globex Inspections", "America/New_York", platform)
    people = {name: _person(name) for name in PEOPLE}
    _member(acme, people["admin"], Role.ADMIN)
    _member(acme, people["viewer"], Role.VIEWER)
    _member(globex, people["outsider"], Role.ADMIN)
    platform.owners.add(people["owner"])
    return acme, globex, platform, _token(acme)


def _organization(slug: str, name: str, zone: str, platform: Platform) -> Organization:
    return Organization.objects.update_or_create(slug=slug, defaults={"name": name, "timezone": zone, "platform": platform})[0]


def _person(name: str) -> User:
    email, password = PEOPLE[name]
    user = User.objects.filter(email=email).first() or User(email=email)
    user.name, user.is_staff, user.is_active = name.capitalize(), True, True
    user.set_password(password)
    user.save()
    return user


def _member(organization: Organization, user: User, role: Role) -> None:
    Member.objects.update_or_create(organization=organization, user=user, defaults={"role": role, "name": user.name, "email": user.email})


def _token(organization: Organization) -> str:
    """A new token; the older ones are revoked, because their secrets can be shown no more."""
    user = User.objects.filter(email=SERVICE).first() or User.objects.create_user(SERVICE, name="Demo exports", is_service=True)
    _member(organization, user, Role.EDITOR)
    AccessToken.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())
    return access.create_access_token(organization, name="demo", role=Role.EDITOR, user=user)[1]
