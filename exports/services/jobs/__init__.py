"""The lifecycle of export jobs. Nothing else moves a status.

Every transition is one conditional UPDATE whose row count decides, with a line in the job's timeline in the same
short transaction. A stale worker fails at the UPDATE, whatever it believes.
"""

from exports.services.jobs.direct import begin_direct
from exports.services.jobs.external import report_failed, report_progress, require_uploader, take
from exports.services.jobs.leases import reap
from exports.services.jobs.moving import record, require_version
from exports.services.jobs.people import again, cancel, create, create_started, delete, needed, pin, require_create, retry, start, unpin
from exports.services.jobs.reading import get, listed, may_change, may_make_again, page, percent, queue_position, visible, watched
from exports.services.jobs.ringing import QUEUE, ring, ring_for_waiting, ring_if_waiting, waiting
from exports.services.jobs.working import BACKOFF_MAX_SECONDS, MAX_FAULTS, Claim, beat, claim, fail, give_back, holds, publish, refuse, run_rights

__all__ = [
    "BACKOFF_MAX_SECONDS",
    "MAX_FAULTS",
    "QUEUE",
    "Claim",
    "again",
    "beat",
    "begin_direct",
    "cancel",
    "claim",
    "create",
    "create_started",
    "delete",
    "fail",
    "get",
    "give_back",
    "holds",
    "listed",
    "may_change",
    "may_make_again",
    "needed",
    "page",
    "percent",
    "pin",
    "publish",
    "queue_position",
    "reap",
    "record",
    "refuse",
    "report_failed",
    "report_progress",
    "require_create",
    "require_uploader",
    "require_version",
    "retry",
    "ring",
    "ring_for_waiting",
    "ring_if_waiting",
    "run_rights",
    "start",
    "take",
    "unpin",
    "visible",
    "waiting",
    "watched",
]
