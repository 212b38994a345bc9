"""The database away, locked, or slow to commit at the worst moment: a job ends once all the same, with its file."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from isal import isal_zlib

from exports import sources, worker
from exports.cells import Style
from exports.models import ExportFile, ExportJob
from exports.services import jobs, receipts
from tasks.models import Organization, Task, User
from tests.making import at_once, grow_tasks, make_queued, make_tasks

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 30


@pytest.fixture
def postgres() -> Iterator[psycopg.Connection]:
    """Another connection to the test database."""
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL's own faults")
    known = connection.get_connection_params()
    with psycopg.connect(autocommit=True, **{key: known[key] for key in ("dbname", "user", "host", "port", "password") if key in known}) as other:
        yield other


def in_mid_commit(act: Callable[[], Any], postgres: psycopg.Connection) -> Callable[[], None]:
    """A call that waits until a backend sleeps, and then acts."""

    def call() -> None:
        until = time.monotonic() + SECONDS
        while postgres.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone() == (0,):
            assert time.monotonic() < until, "no commit was seen"
            time.sleep(0.01)
        act()

    return call


def assert_done(job: ExportJob, rows: int, outcomes: list[str]) -> None:
    job.refresh_from_db()
    assert (job.status, job.crashes, list(job.attempts.values_list("outcome", flat=True))) == ("done", 0, outcomes)
    file = ExportFile.objects.get(job=job)
    assert file.rows == rows
    assert receipts.verify(settings.FILES_ROOT / file.key, file.receipt) == []
    worker.tick()
    assert list(settings.SPOOL_ROOT.iterdir()) == []
    assert (settings.FILES_ROOT / file.key).exists()


@pytest.mark.parametrize("whose", ["query LIKE 'COPY%'", "true"], ids=["the copy", "all"])
def test_backends_that_die_in_mid_copy_are_a_fault_and_no_crash(
    whose: str, editor: User, acme: Organization, postgres: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tasks(acme, 500)
    rows = grow_tasks(acme, 8)
    job = make_queued(editor, acme)
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {whose} AND pid <> pg_backend_pid() AND datname = current_database()"
    compressobj = isal_zlib.compressobj

    class Deflating:
        """Deflates; the first block of rows comes after the header."""

        def __init__(self, **options: Any) -> None:
            self.real, self.pieces = compressobj(**options), 0
            self.flush = self.real.flush

        def compress(self, piece: bytes) -> Any:
            self.pieces += 1
            if self.pieces == 2:
                postgres.execute(kill)
            return self.real.compress(piece)

    monkeypatch.setattr("isal.isal_zlib.compressobj", Deflating)
    worker.run_next()
    monkeypatch.undo()
    postgres.close()
    job.refresh_from_db()
    assert (job.status, job.faults, job.crashes) == ("queued", 1, 0)
    ExportJob.objects.filter(pk=job.pk).update(available_at=Now())
    worker.run_next()
    assert_done(job, rows, ["database_unavailable", "done"])


def test_a_commit_that_lands_after_its_connection_broke_keeps_its_file(editor: User, acme: Organization, postgres: psycopg.Connection) -> None:
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    postgres.execute("CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NULL; END'")
    trigger = "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON exports_exportfile DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
    postgres.execute(f"{trigger} EXECUTE FUNCTION dawdle()")
    try:
        mine = connection.connection

        def cut() -> None:
            with socket.socket(fileno=os.dup(mine.fileno())) as wire:
                wire.shutdown(socket.SHUT_RDWR)

        cutting = threading.Thread(target=in_mid_commit(cut, postgres))
        cutting.start()
        worker.run_next()
        cutting.join()
    finally:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION dawdle() CASCADE")
    assert_done(job, 3, ["done"])


def test_a_silent_partition_ends_an_export_s_connection_within_a_minute(postgres: psycopg.Connection) -> None:
    with sources.snapshot(Style()) as snapshot:
        known = snapshot._connection.info.get_parameters()  # type: ignore[attr-defined]
    connection.ensure_connection()
    for patience in (known, connection.connection.info.get_parameters()):
        assert patience["keepalives"] == "1"
        silent = int(patience["keepalives_idle"]) + int(patience["keepalives_interval"]) * int(patience["keepalives_count"])
        assert silent <= settings.LEASE_SECONDS
        assert int(patience["tcp_user_timeout"]) <= settings.LEASE_SECONDS * 1000


def test_a_claim_does_not_wait_for_an_import_that_commits(editor: User, acme: Organization, postgres: psycopg.Connection) -> None:
    job = make_queued(editor, acme)
    with transaction.atomic():
        Task.objects.create(organization=acme, title="one of a million")
        connection.check_constraints()  # as COMMIT begins: every foreign key is looked up, and locks its row
        claims: list[Any] = []
        claiming = threading.Thread(target=lambda: claims.extend(at_once(lambda: jobs.claim("rival"))))
        claiming.start()
        claiming.join(5)
        found = [claim.job.pk for claim in claims]
    claiming.join()
    assert found == [job.pk]


@pytest.mark.parametrize("moment", ["publish", "failure"])
def test_a_lock_longer_than_its_timeout_is_waited_out(moment: str, editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("SQLite's one writer")
    make_tasks(acme, 3)
    job = make_queued(editor, acme)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 1)
    connection.close()
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    replace = os.replace

    def lock() -> None:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(4, lambda: other.execute("ROLLBACK")).start()

    def lock_and_replace(*paths: Any) -> None:
        lock()
        if moment == "failure":
            raise OSError(28, "No space left on device")
        replace(*paths)

    monkeypatch.setattr("os.replace", lock_and_replace)
    worker.run_next()
    monkeypatch.undo()
    if moment == "publish":
        assert_done(job, 3, ["done"])
    else:
        job.refresh_from_db()
        assert (job.status, job.faults, job.crashes) == ("queued", 1, 0)


def test_a_sqlite_file_is_read_whatever_its_folder_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "50%41 #1?" / "tasks.sqlite3"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE row (id)")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(path))
    snapshot = sources.SqliteSnapshot()
    try:
        assert snapshot.count(sources.Query((), "", (), "SELECT count(*) FROM row", ())) == 0
    finally:
        snapshot.close()
