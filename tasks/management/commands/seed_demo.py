"""`manage.py seed_demo`: two organizations full of made-up tasks, and people to look at them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tasks import demo_people
from tasks.demo import make_tasks
from tasks.models import Calendar, Case, Flow, Hub, Organization, Platform, Task

LISTED = 50


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
        acme, globex, platform, token = demo_people.make_people()
        make_tasks(acme, options["tasks"], seed=1)
        make_tasks(globex, 500, seed=2)
        self.stdout.write(
            f"{acme}: {Task.objects.filter(organization=acme).count():,} tasks. {globex}: {Task.objects.filter(organization=globex).count():,} tasks."
        )
        self.stdout.write("People, each with the password below: " + ", ".join(email for email, _ in demo_people.PEOPLE.values()))
        self.stdout.write(json.dumps(_summary(acme, globex, platform, token)))


def _summary(acme: Organization, globex: Organization, platform: Platform, token: str) -> dict[str, Any]:
    def ids(kind: Any) -> list[int]:
        return list(kind.objects.filter(organization=acme).order_by("pk").values_list("pk", flat=True)[:LISTED])

    return {
        "organizations": {one.slug: {"id": one.pk, "uuid": str(one.uuid)} for one in (acme, globex)},
        "platform": {"id": platform.pk},
        "people": {name: {"email": email, "password": password} for name, (email, password) in demo_people.PEOPLE.items()},
        "tokens": {"acme": token},
        "cases": ids(Case),
        "calendars": ids(Calendar),
        "flows": ids(Flow),
        "hubs": ids(Hub),
    }
