"""Direct exports: a platform owner's rows as CSV, streamed by the request that asks for them; a job tells of it, its file is not kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connection

from exports import sources
from exports.datasets import Spec
from exports.formats import FORMATS, stem
from exports.formats.base import Target
from exports.formats.issues import Issues
from exports.models import ExportFile
from exports.services import files, filing, jobs, specs
from exports.services.jobs import Claim
from exports.services.runner import TAKEN, Spooled, describe, receipt_of
from exports.services.supervising import Pulse, Stopped, insist, supervised, worker_name
from taskexport import ids
from taskexport.errors import Forbidden, Invalid
from taskexport.logs import where
from tasks import access
from tasks.models import Organization, Platform, User

log = logging.getLogger(__name__)

ALL = "all"
MEDIA_TYPE = "text/csv; charset=utf-8"
_GONE = "Whoever asked for it went before the last row."
_REASONS = {"deadline": ("deadline", "The export ran for too long. Export a shorter period, or make a job.")}


class BrokenOff(Exception):
    """The stream has ended before its last row; it must not look whole."""


@dataclass(frozen=True)
class Scope:
    """Where the rows come from: one organization, or all of one platform, or (neither) of several."""

    organization: Organization | None
    platform: Platform | None
    organization_ids: list[int]


def find_scope(user: User, org_id: str, platform_id: str | None) -> Scope:
    """What the user may export directly by these names. Raises Forbidden for who owns no platform, or not this one; NotFound, Invalid."""
    mine = access.platforms(user)
    if not mine.exists():
        raise Forbidden("Only the owner of a platform may export directly.")
    if platform_id is not None:
        mine = mine.filter(pk=ids.number(platform_id))
        if not mine.exists():
            raise Forbidden("You own no such platform.")
    within = Organization.objects.filter(platform__in=mine.values("pk"))
    if org_id == ALL:
        platforms = list(mine.order_by("pk")[:2])
        return Scope(None, platforms[0] if len(platforms) == 1 else None, list(within.order_by("pk").values_list("pk", flat=True)))
    organization = access.find_organization(user, org_id)
    if not within.filter(pk=organization.pk).exists():
        if platform_id is not None:
            raise Invalid.field("platform_id", "The organization is not of this platform.")
        raise Forbidden("Only the owner of the organization's platform may export directly.")
    return Scope(organization, None, [organization.pk])


def begin(user: User, values: dict[str, Any], hang_up: Callable[[], None]) -> Stream:
    """A direct export of `org_id`, `platform_id` (may be missing), `org_name`, `name` and the two dates, in progress, and its bytes.

    `hang_up` must break the connection: it is called when the job is lost while its reader takes no bytes. Raises Forbidden,
    NotFound, Invalid, TooMany.
    """
    scope = find_scope(user, values["org_id"], values.get("platform_id"))
    asked = {key: values[key] for key in ("org_name", "name", "creation_start_date", "creation_end_date")}
    wish = specs.make(asked | {"type": "basic", "options": {"archive": "none"}})
    claim = jobs.begin_direct(user, wish, scope.organization, scope.platform, worker_name())
    return Stream(claim, wish.spec, scope, hang_up)


class Stream:
    """The file's bytes, once. Ending early in any way ends the job: `close` as the reader's going, an error by raising BrokenOff."""

    def __init__(self, claim: Claim, spec: Spec, scope: Scope, hang_up: Callable[[], None]) -> None:
        self.job_id = claim.job.pk
        self.name = f"{stem(claim.job.pk)}.csv"
        self._claim, self._spec, self._scope, self._hang_up = claim, spec, scope, hang_up
        self._pulse = Pulse()
        self._pieces = self._run()
        self._begun = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._begun = True
        return next(self._pieces)

    def close(self) -> None:
        """Nobody reads on; may be called twice, and after the end."""
        if not self._begun:  # a generator that never ran has no end to come to
            self._begun = True
            self._fail("client_gone", _GONE)
        self._pieces.close()

    def _run(self) -> Generator[bytes, None, None]:
        extra = {"job": str(self.job_id), "organization": self._claim.job.organization_id}
        try:
            with supervised(self._claim, self._pulse, self._hang_up):
                file = yield from self._write()
                insist(jobs.publish, self._claim, file)
            log.info("direct export done", extra=extra | {"rows": file.rows, "bytes": file.size})
        except GeneratorExit:
            self._fail(*_REASONS.get(self._pulse.reason, ("client_gone", _GONE)))
            log.info("direct export left by its reader", extra=extra)
            raise
        except (Stopped, *TAKEN) as error:
            if self._pulse.reason in _REASONS:
                self._fail(*_REASONS[self._pulse.reason])
            log.info("direct export stopped", extra=extra | {"reason": self._pulse.reason or type(error).__name__})
            raise BrokenOff from None
        except Exception as error:
            if self._pulse.reason != "lost":  # else it is the cancelled query's own error
                code, text, _ = describe(error)
                self._fail(*_REASONS.get(self._pulse.reason, (code, text)))
            log.warning("direct export broken off", extra=extra | {"where": where(error)})
            raise BrokenOff from None

    def _write(self) -> Generator[bytes, None, ExportFile]:
        """The pieces; returns the row of a file that is not kept."""
        format_, pulse, spec = FORMATS[self._spec.format], self._pulse, self._spec
        # A platform may be without organizations: no row has the id 0.
        query = sources.compile_query(spec, self._scope.organization_ids or [0])
        digest, size, counted = hashlib.sha256(), 0, None
        with sources.snapshot(format_.style(spec)) as snapshot:
            snapshot_at = datetime.now(UTC)
            pulse.snapshot, pulse.at_first_row = snapshot, True
            try:
                for piece in format_.write(snapshot, query, spec, Target(0, stem(self.job_id), snapshot_at, Issues(0))):
                    pulse.at_first_row = pulse.at_first_row and not snapshot.rows_read
                    digest.update(piece)
                    size += len(piece)
                    pulse.beat()
                    yield piece
                    if counted is None:  # the header is on its way before anything is counted
                        counted = pulse.rows_total = snapshot.count(query)
                written = snapshot.rows_read
            finally:
                pulse.snapshot, pulse.at_first_row = None, False
        spooled = Spooled(size, digest.hexdigest(), counted or 0, written, snapshot_at, [])
        spooled.require_whole()
        return self._file(spooled)

    def _file(self, spooled: Spooled) -> ExportFile:
        now = datetime.now(UTC)
        receipt = receipt_of(self._claim, self._spec, self.name, spooled)
        if self._scope.organization is None:
            uuids = Organization.objects.filter(pk__in=self._scope.organization_ids).order_by("pk").values_list("uuid", flat=True)
            receipt["organizations"] = [str(uuid) for uuid in uuids]
        file = filing.row(self._claim, receipt, self._claim.attempt.key_prefix + files.NOT_KEPT, MEDIA_TYPE, now)
        file.deleted_at = now
        return file

    def _fail(self, code: str, error: str) -> None:
        """Says how it ended; where the database is away, the lapsing lease will."""
        with suppress(*TAKEN):
            try:
                insist(jobs.fail, self._claim, code, error)
            except (DatabaseError, InterfaceError):
                log.warning("direct export left to its lease", extra={"job": str(self.job_id)})
                connection.close()
