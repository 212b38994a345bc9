"""One attempt at one job: spool, check, put, publish, with a supervisor that keeps the lease and notices its loss."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection

from exports import storage
from exports.formats.issues import Issue
from exports.models import ExportFile
from exports.services import jobs
from exports.services.jobs import Claim
from exports.services.runner.producing import produce
from exports.services.runner.supervising import Pulse, Stopped, sigterm_waits, supervised
from taskexport.errors import AppError, Conflict, NotFound
from taskexport.logs import where

AnyResult = TypeVar("AnyResult")

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0  # between two tries to reach a database that is away
# Drivers' own errors come through the source's connection, Django's through everything else.
DATABASE_FAULTS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, sqlite3.OperationalError)
TAKEN = (Conflict, NotFound)  # cancelled, given to another attempt, or deleted


def run(claim: Claim) -> None:
    """Runs a claimed job to its end: done, failed, given back, or left to whoever took it over. Never raises for the job's sake.

    A process that was told to end meanwhile ends here.
    """
    pulse = Pulse()
    extra = {"job": str(claim.job.pk), "attempt": claim.attempt.number, "organization": claim.job.organization_id}
    with sigterm_waits(pulse):
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
            file, issues = produce(claim, pulse)
            _publish(claim, file, issues, pulse)
        log.info("export done", extra=extra | {"rows": file.rows, "bytes": file.size})
    except TAKEN:
        raise
    except Stopped as stop:
        _insist(_stopped, claim, stop.reason)
        log.info("export stopped", extra=extra | {"reason": stop.reason})
    except Exception as error:
        if pulse.reason:  # the cancelled query's own error
            _insist(_stopped, claim, pulse.reason)
            log.info("export stopped", extra=extra | {"reason": pulse.reason})
        else:
            code = _insist(_failed, claim, error)
            log.warning("export failed", extra=extra | {"code": code, "where": where(error)})


def _insist(say: Callable[..., AnyResult], *arguments: Any) -> AnyResult:
    """Says it to the database, again and again while that is away or locked, for as long as a lease."""
    until = time.monotonic() + settings.LEASE_SECONDS
    while True:
        close_old_connections()  # ours has been idle for the whole run; the server may have ended it
        try:
            return say(*arguments)
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(AGAIN_SECONDS)


def _stopped(claim: Claim, reason: str) -> None:
    if reason == "stopping":
        jobs.give_back(claim, "worker_stopped", "The worker was stopped; the job goes on elsewhere.", is_fault=False)
    elif reason == "deadline":
        jobs.fail(claim, "deadline", f"The export ran longer than {settings.RUN_SECONDS // 60} minutes. Export a shorter period.")


def _failed(claim: Claim, error: Exception) -> str:
    """Gives the job back for a transient fault, fails it for a lasting one; returns the code."""
    if isinstance(error, AppError):
        code, text = error.code, error.message
        jobs.fail(claim, code, text)
    elif isinstance(error, OSError):
        code = "storage_unavailable"
        jobs.give_back(claim, code, "The file could not be written.", is_fault=True)
    elif isinstance(error, DATABASE_FAULTS):
        code = "database_unavailable"
        jobs.give_back(claim, code, "The database did not answer.", is_fault=True)
    else:
        code = "internal_error"
        jobs.fail(claim, code, f"An error of ours ({type(error).__name__}). It is in the log under this job's id.")
    return code


def _publish(claim: Claim, file: ExportFile, issues: list[Issue], pulse: Pulse) -> None:
    """Publishes the stored file, or removes it if the job is no longer ours. Raises Conflict, NotFound.

    Where the database can't be asked, the file stays: the commit may still arrive there, and if it does not, the sweeper
    takes the file once the attempt has ended.
    """

    def publish() -> None:
        pulse.life += 1
        file.pk = None  # a try that was rolled back has left its own
        jobs.publish(claim, file, issues)

    try:
        _insist(publish)
    except TAKEN:
        # The commit before a try that was repeated may have reached the database, although its answer did not reach us.
        if ExportFile.objects.filter(job=claim.job, key=file.key).exists():
            return
        storage.delete(file.key)
        raise


__all__ = ["Pulse", "run"]
