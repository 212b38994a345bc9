"""`manage.py runservice`: the whole service on this machine, until Ctrl-C."""

from __future__ import annotations

import io
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from taskexport import processes
from tasks import demo_people
from tasks.models import Organization, User


class Command(BaseCommand):
    """Migrates, starts a web server and both queue clusters, and stops them on Ctrl-C or SIGTERM."""

    help = "Runs the whole service on this machine: a web server and both queue clusters, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        port = options["port"]
        if not processes.is_free(port):
            raise CommandError(f"Port {port} is in use. Stop what listens there, or choose another:  make run PORT={port + 1}")
        try:
            with processes.on_sigterm(KeyboardInterrupt()):
                login = self._prepare()
                with processes.service(port, {}) as service:
                    self.stdout.write(f"\ntaskexport answers at {service.url}/admin/\n{login}\nCtrl-C stops it.")
                    self.stdout.flush()
                    service.wait()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
        except processes.Ended as error:
            raise CommandError(f"{error}; everything else was stopped.") from None

    def _prepare(self) -> str:
        call_command("migrate", verbosity=0)
        if not settings.PRODUCTION and not Organization.objects.exists():
            call_command("seed_demo", stdout=io.StringIO())
        email, password = demo_people.PEOPLE["admin"]
        has_demo = User.objects.filter(email=email, is_active=True).exists()
        connections.close_all()  # nothing here needs the database from now on
        if has_demo:
            return f"Sign in as {email} with the password {password}"
        return "Sign in with an account of yours; `make seed` makes demo people, and prints their passwords."
