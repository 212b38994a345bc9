"""`manage.py create_access_token`: a service account's way into the REST API."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskexport.errors import AppError
from taskexport.moments import moment
from tasks import access, importing
from tasks.models import AccessToken, Role

NAME_CHARS = 200


class Command(BaseCommand):
    help = "Makes an access token with a service account of its own, and prints its ID:SECRET: once, for it is kept as a hash."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--organization", required=True, metavar="O", help="id, uuid or slug of the organization")
        parser.add_argument("--name", required=True, help="what it is for, such as ERP")
        parser.add_argument("--role", choices=Role.values, default=Role.EDITOR.value, help="what it may do (editor)")
        parser.add_argument(
            "--expires", metavar="T", help="when it ends: a number of days, a day, which it still opens, or a time with zone; never unless said"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not name or len(name) > NAME_CHARS or "\0" in name:
            raise CommandError(f"--name: write 1 to {NAME_CHARS} characters.")
        try:
            organization = importing.find_organization(options["organization"])
        except AppError as error:
            raise CommandError(error.message) from None
        token, text = access.create_access_token(
            organization, name=name, role=Role(options["role"]), expires_at=_end(options["expires"]) if options["expires"] else None
        )
        self.stdout.write(text)  # alone, so that a script can keep it
        self.stderr.write(_said(token, options["role"]))


def _end(text: str) -> datetime:
    try:
        if text.isascii() and text.isdecimal():
            end: datetime | None = datetime.now(UTC) + timedelta(days=int(text))
        else:
            bound = moment(text)
            end = bound.at if bound.width <= timedelta(seconds=1) else bound.until
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--expires: {error}") from None
    if end is None or end <= datetime.now(UTC):
        raise CommandError("--expires: this is in the past, or beyond all calendars.")
    return end


def _said(token: AccessToken, role: str) -> str:
    end = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "until it is revoked"
    return f"Access token {token.pk} of {token.organization}, {role}, {end}. It is never shown again; send it as  Authorization: Bearer ID:SECRET"
