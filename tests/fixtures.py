"""Organizations, people by role, clients signed in as them, and real processes on the test database."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from taskexport import processes
from tasks.models import Member, Organization, Platform, Role, User
from tests.openapi import CheckedClient

PASSWORD = "correct horse battery"  # of everybody here
COMMAND_SECONDS = 120


@pytest.fixture(autouse=True)
def no_throttle_yet() -> None:
    """Throttles count in the cache, by ids that the next test uses again."""
    cache.clear()


# -- People --------------------------------------------------------------------------------------------------------
@pytest.fixture
def platform(db: None) -> Platform:
    """Groups acme and globex."""
    return Platform.objects.create(name="Platform")


@pytest.fixture
def acme(platform: Platform) -> Organization:
    """The organization in which admin, editor and viewer work."""
    return Organization.objects.create(slug="acme", name="Acme", platform=platform)


@pytest.fixture
def globex(platform: Platform) -> Organization:
    """Another organization of the platform."""
    return Organization.objects.create(slug="globex", name="Globex", platform=platform)


def _person(name: str, organization: Organization | None = None, role: Role | None = None) -> User:
    user = User.objects.create_user(f"{name}@example.com", PASSWORD, name=name.title(), is_staff=True)
    if organization:
        Member.objects.create(organization=organization, user=user, role=role, name=user.name, email=user.email)
    return user


@pytest.fixture
def admin(acme: Organization) -> User:
    """Admin of acme."""
    return _person("admin", acme, Role.ADMIN)


@pytest.fixture
def editor(acme: Organization) -> User:
    """Editor in acme."""
    return _person("editor", acme, Role.EDITOR)


@pytest.fixture
def viewer(acme: Organization) -> User:
    """Viewer in acme."""
    return _person("viewer", acme, Role.VIEWER)


@pytest.fixture
def outsider(globex: Organization) -> User:
    """Admin of globex, and nothing in acme."""
    return _person("outsider", globex, Role.ADMIN)


@pytest.fixture
def owner(platform: Platform) -> User:
    """Owner of the platform: reads acme and globex, and is member of none."""
    user = _person("owner")
    platform.owners.add(user)
    return user


@pytest.fixture
def client_of() -> Callable[[User], APIClient]:
    """A REST client signed in as the user; every answer is held against the OpenAPI document."""

    def client_of(user: User) -> APIClient:
        client = CheckedClient()
        client.force_authenticate(user)
        return client

    return client_of


@pytest.fixture
def staff_client_of() -> Callable[[User], Client]:
    """A browser-like client signed in to the admin as the user."""

    def staff_client_of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return staff_client_of


# -- Real processes ------------------------------------------------------------------------------------------------
@pytest.fixture
def process_env(transactional_db: None) -> dict[str, str]:
    """What a process of its own needs to open the test database; it sees what is committed."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return {"DATABASE_URL": f"sqlite:///{name}"}
    return {"DATABASE_URL": f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"}


RunManage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_manage(process_env: dict[str, str]) -> RunManage:
    """Runs `manage.py ARGUMENTS` in a process of its own; fails the test on an exit code other than 0, unless `check=False`."""

    def run_manage(*arguments: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, processes.MANAGE, *arguments]
        done = subprocess.run(command, env={**os.environ, **process_env, **env}, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert not check or done.returncode == 0, f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    return run_manage


QCluster = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]


@pytest.fixture
def qcluster(process_env: dict[str, str]) -> QCluster:
    """Runs a real queue cluster inside a `with`; its log is VAR/log/qcluster-NAME.log."""

    @contextlib.contextmanager
    def qcluster(name: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
        process = processes.start_cluster(name, {**process_env, **env}, Path(settings.VAR) / "log")
        try:
            yield process
        finally:
            processes.stop(process)

    return qcluster
