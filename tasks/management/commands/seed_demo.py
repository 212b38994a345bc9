"""`manage.py seed_demo`: two organizations full of made-up tasks, and people to look at them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from tasks import access
from tasks.demo import make_tasks
from tasks.models import AccessToken, Calendar, Case, Flow, Hub, Member, Organization, Platform, Role, Task, User

LISTED = 50
# Published here, so they open nothing that matters: the command refuses to run in production.
PEOPLE = {
    "admin": ("admin@acme.example", "Tulip-Windmill-1001"),
    "viewer": ("viewer@acme.example", "Canal-Bicycle-2002"),
    "outsider": ("outsider@globex.example", "Harbor-Lantern-3003"),
    "owner": ("owner@platform.example", "Summit-Compass-4004"),
}
SERVICE = "demo-exports@service.invalid"


class Command(BaseCommand):
    help = "Makes the demo organizations acme and globex, their people and tasks; run again, it renews them. The last line it prints is JSON."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--tasks", type=int, default=20_000, metavar="N", help="how many tasks acme gets (20000)")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError(
                "The demo's passwords are public, so it never runs in production. Set TASKEXPORT_ENV=development on a machine for trying out."
            )
        if options["tasks"] < 0:
            raise CommandError("--tasks: write a whole number from 0 upwards.")
        with transaction.atomic():
            platform, _ = Platform.objects.get_or_create(name="Demo platform")
            acme = _organization("acme", "Acme Field Services", "Europe/Amsterdam", platform)
            globex = _organization("globex", "Globex Inspections", "America/New_York", platform)
            people = {name: _person(name) for name in PEOPLE}
            _member(acme, people["admin"], Role.ADMIN)
            _member(acme, people["viewer"], Role.VIEWER)
            _member(globex, people["outsider"], Role.ADMIN)
            platform.owners.add(people["owner"])
            token = _token(acme)
        make_tasks(acme, options["tasks"], seed=1)
        make_tasks(globex, 500, seed=2)
        self.stdout.write(
            f"{acme}: {Task.objects.filter(organization=acme).count():,} tasks. {globex}: {Task.objects.filter(organization=globex).count():,} tasks."
        )
        self.stdout.write("People, each with the password below: " + ", ".join(email for email, _ in PEOPLE.values()))
        self.stdout.write(json.dumps(_summary(acme, globex, platform, token)))


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


def _summary(acme: Organization, globex: Organization, platform: Platform, token: str) -> dict[str, Any]:
    def ids(kind: Any) -> list[int]:
        return list(kind.objects.filter(organization=acme).order_by("pk").values_list("pk", flat=True)[:LISTED])

    return {
        "organizations": {one.slug: {"id": one.pk, "uuid": str(one.uuid)} for one in (acme, globex)},
        "platform": {"id": platform.pk},
        "people": {name: {"email": email, "password": password} for name, (email, password) in PEOPLE.items()},
        "tokens": {"acme": token},
        "cases": ids(Case),
        "calendars": ids(Calendar),
        "flows": ids(Flow),
        "hubs": ids(Hub),
    }
