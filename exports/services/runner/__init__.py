"""One attempt at one job: spool, check, put, publish, with a supervisor that keeps the lease and notices its loss."""

from __future__ import annotations

import logging
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from exports import storage
from exports.models import ExportFile
from exports.services import jobs
from exports.services.changes import BaseMoved
from exports.services.jobs import Claim
from exports.services.runner.producing import Produced, Spooled, produce, receipt_of
from exports.services.supervising import Pulse, Stopped, insist, supervised
from taskexport.errors import AppError, Conflict, NotFound
from taskexport.logs import where

log = logging.getLogger(__name__)

# Drivers' own errors come through the source's connection, Django's through everything else.
DATABASE_FAULTS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, sqlite3.OperationalError)
TAKEN = (Conflict, NotFound)  # cancelled, given to another attempt, or deleted


@contextmanager
def _sigterm_waits(pulse: Pulse) -> Iterator[None]:
    """SIGTERM ends the run, which gives its job back, and only then the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def note(*_: object) -> None:
        nonlocal told
        told = True
        pulse.stop("stopping")

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:
            signal.raise_signal(signal.SIGTERM)


def run(claim: Claim) -> None:
    """Runs a claimed job to its end: done, failed, given back, or left to whoever took it over. Never raises for the job's sake.

    A process that was told to end meanwhile ends here.
    """
    pulse = Pulse()
    extra = {"job": str(claim.job.pk), "attempt": claim.attempt.number, "organization": claim.job.organization_id}
    with _sigterm_waits(pulse):
        try:
            _run(claim, pulse, extra)
        except TAKEN:
            log.info("export taken away", extra=extra)
        except (DatabaseError, InterfaceError) as error:
            # The database stays away: nothing can be said now, and the lapsing lease will say it.
            log.warning("export left to its lease", extra=extra | {"error": type(error).__name__})
            connection.close()


def _run(claim: Claim, pulse: Pulse, extra: dict[str, Any]) -> None:
    try:
        with supervised(claim, pulse):
            made = produce(claim, pulse)
            _publish(claim, made, pulse)
        log.info("export done", extra=extra | {"rows": made.file.rows, "bytes": made.file.size})
    except TAKEN:
        raise
    except Stopped as stop:
        insist(_stopped, claim, stop.reason)
        log.info("export stopped", extra=extra | {"reason": stop.reason})
    except Exception as error:
        if pulse.reason:  # the cancelled query's own error
            insist(_stopped, claim, pulse.reason)
            log.info("export stopped", extra=extra | {"reason": pulse.reason})
        else:
            code = insist(_failed, claim, error)
            log.warning("export failed", extra=extra | {"code": code, "where": where(error)})


def _stopped(claim: Claim, reason: str) -> None:
    if reason == "stopping":
        jobs.give_back(claim, "worker_stopped", "The worker was stopped; the job goes on elsewhere.", is_fault=False)
    elif reason == "deadline":
        jobs.fail(claim, "deadline", f"The export ran longer than {settings.RUN_SECONDS // 60} minutes. Export a shorter period.")


def _failed(claim: Claim, error: Exception) -> str:
    """Gives the job back for a transient fault, fails it for a lasting one; returns the code."""
    code, text, is_fault = describe(error)
    if is_fault:
        jobs.give_back(claim, code, text, is_fault=True)
    else:
        jobs.fail(claim, code, text)
    return code


def describe(error: Exception) -> tuple[str, str, bool]:
    """The code and the sentence that a job keeps of what broke its run, and whether it may pass by itself."""
    if isinstance(error, AppError):
        return error.code, error.message, isinstance(error, BaseMoved)
    if isinstance(error, OSError):
        return "storage_unavailable", "The file could not be written.", True
    if isinstance(error, DATABASE_FAULTS):
        return "database_unavailable", "The database did not answer.", True
    return "internal_error", f"An error of ours ({type(error).__name__}). It is in the log under this job's id.", False


def _publish(claim: Claim, made: Produced, pulse: Pulse) -> None:
    """Publishes the stored file, or removes it if the job is no longer ours, or its base no longer the schedule's.

    Raises Conflict, NotFound, BaseMoved.

    Where the database can't be asked, the file stays: the commit may still arrive there, and if it does not, the sweeper
    takes the file once the attempt has ended.
    """

    def publish() -> None:
        pulse.life += 1
        made.file.pk = None  # a try that was rolled back has left its own
        jobs.publish(claim, made.file, made.issues, base=made.base, detail=made.detail)

    try:
        insist(publish)
    except (*TAKEN, BaseMoved):
        # The commit before a try that was repeated may have reached the database, although its answer did not reach us.
        if ExportFile.objects.filter(job=claim.job, key=made.file.key).exists():
            return
        storage.delete(made.file.key)
        if made.base:
            storage.delete_key(made.base.row.key)
        raise


__all__ = ["TAKEN", "Pulse", "Spooled", "describe", "receipt_of", "run"]
