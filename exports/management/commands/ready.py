"""`manage.py ready`: the checks of /readyz for a process that answers no requests."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from exports.services import readiness


class Command(BaseCommand):
    """Prints each check; ends with 1 if one is not well."""

    help = "Prints the checks of /readyz and ends with 1 if one fails; name some to look at no others, such as queue_exports."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="check")

    def handle(self, *args: Any, **options: Any) -> None:
        checks = readiness.look(*options["names"])
        if not checks:
            raise CommandError("There is no such check; leave the names out to see all.")
        for check in checks:
            seconds = "" if check.seconds is None else f" {check.seconds} s"
            self.stdout.write(f"{check.name}: {'ok' if check.is_ok else 'not ok'}{seconds}{check.detail and f' ({check.detail})'}")
        if not all(check.is_ok for check in checks):
            raise CommandError("Not ready.")
