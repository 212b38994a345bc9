"""Stored bytes that nothing names any more: deleted by the tick, again and again until the storage agrees."""

from __future__ import annotations

import logging
import time

from exports import storage
from exports.models import Litter

log = logging.getLogger(__name__)

SWEEP_SECONDS = 30  # of a tick: a storage that hangs must not take the next one's turn; what is left waits
# An export's spool is swept by its attempts, but only on the machine that ticks.
BROUGHT = ".upload"  # a zip of an external runner
SPOOLS = (".part", BROUGHT)
SPOOL_SECONDS = 24 * 3600  # longer than any of them takes


def sweep() -> int:
    """Removes the bytes of deleted rows, and what killed uploads and imports left in the spool. How many names."""
    swept, until = 0, time.monotonic() + SWEEP_SECONDS
    for one in Litter.objects.order_by("pk")[:1000]:
        try:
            _remove(one)
            one.delete()
            swept += 1
        except OSError as error:  # the next tick tries again; the others do not wait for it
            log.warning("litter not swept", extra={"litter": one.pk, "error": type(error).__name__})
        if time.monotonic() > until:
            break
    return swept + sweep_spool()


def _remove(one: Litter) -> None:
    if one.kind == Litter.Kind.FILE:
        storage.delete(one.name)
    elif one.kind == Litter.Kind.FOLDER:
        storage.delete_folder(one.name)
    else:
        storage.spool_path(one.name).unlink(missing_ok=True)


def sweep_spool() -> int:
    """Removes what killed processes left in this machine's spool; each machine does it for itself, with its work. How many files."""
    return sum(storage.delete_old_spools(suffix, SPOOL_SECONDS) for suffix in SPOOLS)
