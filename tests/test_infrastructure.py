"""What the other tests stand on: the chosen database, real processes on it, a real queue."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django_q.tasks import async_task, result

from tasks.models import Organization, User
from tests.fixtures import PASSWORD, QCluster, RunManage

pytestmark = pytest.mark.django_db
RESULT_MILLISECONDS = 20_000


def test_the_database_is_the_chosen_one(request: pytest.FixtureRequest) -> None:
    assert connection.vendor == {"sqlite": "sqlite", "postgres": "postgresql"}[request.config.getoption("database")]


def test_sqlite_is_a_file_in_wal_mode() -> None:
    if connection.vendor == "sqlite":
        assert Path(connection.settings_dict["NAME"]).is_file()
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_postgres_sorts_by_code_point_and_keeps_utc() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'Z' < 'a', current_setting('server_encoding'), current_setting('log_timezone')")
            assert cursor.fetchone() == (True, "UTF8", "UTC")


@pytest.mark.serial
def test_a_process_of_its_own_sees_a_committed_row(run_manage: RunManage, acme: Organization) -> None:
    script = "from tasks.models import Organization; print('found', Organization.objects.get().uuid)"
    assert f"found {acme.uuid}" in run_manage("shell", "-c", script).stdout


@pytest.mark.serial
def test_a_failing_command_is_seen(run_manage: RunManage) -> None:
    assert run_manage("no_such_command", check=False).returncode != 0


@pytest.mark.serial
def test_a_real_cluster_runs_a_task(qcluster: QCluster) -> None:
    with qcluster("exports") as process:
        task = async_task("math.copysign", 1, -1, cluster="exports")
        assert result(task, wait=RESULT_MILLISECONDS) == -1.0
        assert process.poll() is None
    assert process.returncode == 0


@pytest.mark.serial
def test_a_process_with_default_settings_knows_the_quick_passwords(run_manage: RunManage, admin: User) -> None:
    script = f"from django.contrib.auth import authenticate; print('user', authenticate(username={admin.email!r}, password={PASSWORD!r}))"
    assert f"user {admin}" in run_manage("shell", "-c", script).stdout


def test_signed_in_as(client_of, staff_client_of, admin: User) -> None:  # type: ignore[no-untyped-def]
    assert client_of(admin).handler._force_user == admin
    client: Client = staff_client_of(admin)
    assert client.session["_auth_user_id"] == str(admin.pk)
