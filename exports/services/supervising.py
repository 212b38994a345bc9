"""The supervisor of a run: keeps the lease while the run shows life, and tells it when the job is lost."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from exports import sources
from exports.services import jobs
from exports.services.jobs import Claim

AnyResult = TypeVar("AnyResult")

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
# Silence that is no death: a plan that sorts before its first row, and a storage that does not answer until all tries of a call are over.
SILENT_SECONDS = 600
AGAIN_SECONDS = 1.0  # between two tries to reach a database that is away


def worker_name() -> str:
    """`host:pid` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Stopped(Exception):
    """The run must end now; `reason` is `lost`, `deadline` or `stopping`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Pulse:
    """What the run tells its supervisor (life, rows) and what the supervisor tells the run (stop)."""

    life: int = 0
    rows_total: int | None = None
    rows_before: int = 0  # read before the snapshot counted anew
    snapshot: sources.Snapshot | None = None
    at_first_row: bool = False
    at_storage: bool = False
    reason: str = ""
    # Reentrant: a second SIGTERM may interrupt the handler of the first.
    _lock: Any = field(default_factory=threading.RLock)

    def beat(self) -> None:
        """A block, or a megabyte checked: the run lives. Raises Stopped if it shall not."""
        self.life += 1
        self.check()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """The storage is asked inside; each of its calls ends by itself, but some take longer than a lease."""
        self.at_storage = True
        try:
            yield
        finally:
            self.at_storage = False

    def check(self) -> None:
        """Raises Stopped if the run shall end."""
        if self.reason:
            raise Stopped(self.reason)

    def stop(self, reason: str) -> None:
        """Ends the run; the first reason stays."""
        with self._lock:
            self.reason = self.reason or reason

    @property
    def rows_done(self) -> int:
        return self.rows_before + (self.snapshot.rows_read if self.snapshot else 0)


class Supervisor(threading.Thread):
    """Beats once a second on a connection of its own while the run shows life; cancels the query when the job is lost."""

    def __init__(self, claim: Claim, pulse: Pulse, on_stop: Callable[[], None] | None = None) -> None:
        super().__init__(name=f"supervisor-{claim.job.pk}", daemon=True)
        self.claim, self.pulse, self.on_stop = claim, pulse, on_stop
        self._finished = threading.Event()

    def run(self) -> None:
        started = moved = time.monotonic()
        seen = -1
        try:
            while not self._finished.wait(BEAT_SECONDS):
                now = time.monotonic()
                if now - started > settings.RUN_SECONDS:
                    self.pulse.stop("deadline")
                if self.pulse.life != seen:
                    seen, moved = self.pulse.life, now
                may_be_silent = self.pulse.at_first_row or self.pulse.at_storage
                lives = now - moved < SILENT_SECONDS if may_be_silent else moved == now
                try:
                    if not self._still_ours(lives):
                        self.pulse.stop("lost")
                    snapshot = self.pulse.snapshot  # the run may drop it at any moment
                    if self.pulse.reason and snapshot:
                        snapshot.cancel()
                    if self.pulse.reason and self.on_stop:
                        self.on_stop()
                except Exception as error:
                    # Whatever it is, a supervisor goes on: the lease lives a minute longer than a connection that broke.
                    log.warning("beat failed", extra={"job": str(self.claim.job.pk), "error": type(error).__name__})
                    connection.close()
        finally:
            connection.close()

    def _still_ours(self, lives: bool) -> bool:
        if lives:
            return jobs.beat(self.claim, rows_done=self.pulse.rows_done, rows_total=self.pulse.rows_total)
        return jobs.holds(self.claim)

    def finish(self) -> None:
        self._finished.set()
        self.join()


@contextmanager
def supervised(claim: Claim, pulse: Pulse, on_stop: Callable[[], None] | None = None) -> Iterator[None]:
    """The supervisor around a run; `on_stop` is called from its thread, again and again, once the run shall end."""
    supervisor = Supervisor(claim, pulse, on_stop)
    supervisor.start()
    try:
        yield
    finally:
        supervisor.finish()


def insist(say: Callable[..., AnyResult], *arguments: Any) -> AnyResult:
    """Says it to the database, again and again while that is away or locked, for as long as a lease."""
    until = time.monotonic() + settings.LEASE_SECONDS
    while True:
        if not connection.in_atomic_block:
            close_old_connections()  # ours has been idle for the whole run; the server may have ended it
        try:
            return say(*arguments)
        except (OperationalError, InterfaceError):
            if time.monotonic() > until:
                raise
            connection.close()
            time.sleep(AGAIN_SECONDS)
