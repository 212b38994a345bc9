"""`manage.py revoke_access_token`: whoever uses these tokens is refused from now on."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tasks import access
from tasks.models import AccessToken


class Command(BaseCommand):
    help = "Ends access tokens for good, by their ids: the number before the colon."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("ids", nargs="+", type=int, metavar="ID")

    def handle(self, *args: Any, **options: Any) -> None:
        found = {
            token.pk: token
            for token in AccessToken.objects.select_related("organization").filter(pk__in=[pk for pk in options["ids"] if 0 < pk < 2**63])
        }
        unknown = [str(pk) for pk in options["ids"] if pk not in found]
        if unknown:
            raise CommandError(f"There is no access token {', '.join(unknown)}. Nothing was revoked.")
        for token in found.values():
            done = "revoked" if access.revoke_access_token(token) else "was revoked before"
            self.stdout.write(f"{token.pk} ({token} of {token.organization}): {done}")
