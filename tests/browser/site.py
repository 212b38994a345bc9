"""A whole service as in production, in a database of its own, and a browser that looks at it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, sync_playwright

from taskexport import processes

NONE_HERE = "There is no Chromium here; `make system-deps` installs one."
COMMAND_SECONDS = 120
ANSWER_MS = 15_000  # for whatever a page is expected to show: workers share the machine with other tests
# No sandbox: in containers tests run as root. No QUIC, sync or updates: nothing but the service is talked to.
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--no-proxy-server"]


def chromium() -> str | None:
    """Where the browser is; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A headless browser; whoever opens contexts closes them. Raises RuntimeError where there is no browser."""
    program = chromium()
    if program is None:
        raise RuntimeError(NONE_HERE)
    with _unsafe(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def _unsafe() -> Iterator[None]:
    # Playwright keeps an event loop in this thread, beside which Django would refuse to ask the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        yield
    finally:
        del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@dataclass(frozen=True)
class Site:
    """A running service."""

    url: str
    database: str  # as a DATABASE_URL
    folder: Path  # logs, static files

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Django here works in the service's database."""
        with working_in(self.database):
            yield

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody reads or writes a task meanwhile, so that an export in progress stays so; PostgreSQL alone can do it."""
        other = connection.copy()
        try:
            other.set_autocommit(False)
            with other.cursor() as cursor:
                cursor.execute("LOCK TABLE tasks_task IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            other.rollback()
            other.close()


@contextlib.contextmanager
def working_in(database: str) -> Iterator[None]:
    """Django's connection of this thread leads to another database meanwhile."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database.removeprefix("sqlite:///") if connection.vendor == "sqlite" else database.rpartition("/")[2]
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def new_database(name: str) -> str:
    """The DATABASE_URL of an empty database beside the one of the tests."""
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings.VAR}/{name}.sqlite3"
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    with working_in(f"{server}/postgres"), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@contextlib.contextmanager
def running(database: str, tasks: int) -> Iterator[Site]:
    """The service with demo people and so many tasks in the (empty) database; its files lie where ours do, so its jobs can be read from here."""
    folder = Path(settings.VAR) / "browser"
    folder.mkdir()
    shared = {"DATABASE_URL": database, "VAR": str(settings.VAR), "SECRET_KEY": settings.SECRET_KEY}
    production = shared | {"TASKEXPORT_ENV": "production", "HTTPS": "0", "ALLOWED_HOSTS": processes.HOST, "STATIC_ROOT": str(folder / "static")}
    _manage(shared | {"TASKEXPORT_ENV": "development"}, ["migrate", "--verbosity=0"], ["seed_demo", f"--tasks={tasks}"])
    _manage(production, ["collectstatic", "--no-input", "--verbosity=0"])
    port = processes.free_port()
    with processes.service(port, production | {"SITE_URL": f"http://{processes.HOST}:{port}"}, folder) as service:
        yield Site(service.url, database, folder)


def _manage(env: dict[str, str], *commands: list[str]) -> None:
    for command in commands:
        call = [sys.executable, processes.MANAGE, *command]
        done = subprocess.run(call, env={**os.environ, **env}, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
