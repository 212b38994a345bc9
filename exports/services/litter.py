"""Stored bytes that nothing names any more: deleted by the tick, again and again until the storage agrees."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from django.conf import settings

from exports import storage
from exports.models import Litter

log = logging.getLogger(__name__)

SPOOLED = ("upload-*.part", "import-*.part")  # an export's are swept by its attempts
SPOOL_SECONDS = 24 * 3600  # longer than any upload or import takes


def sweep() -> int:
    """Removes the bytes of deleted rows, and what killed uploads and imports left in the spool. How many names."""
    swept = 0
    for one in Litter.objects.order_by("pk")[:1000]:
        try:
            _remove(one)
        except OSError as error:  # the next tick tries again; the others do not wait for it
            log.warning("litter not swept", extra={"litter": one.pk, "error": type(error).__name__})
            continue
        one.delete()
        swept += 1
    return swept + _sweep_spool()


def _remove(one: Litter) -> None:
    if one.kind == Litter.Kind.FILE:
        storage.delete(one.name)
    elif one.kind == Litter.Kind.FOLDER:
        storage.delete_folder(one.name)
    else:
        storage.spool_path(one.name).unlink(missing_ok=True)


def _sweep_spool() -> int:
    swept = 0
    for pattern in SPOOLED:
        for path in settings.SPOOL_ROOT.glob(pattern):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - SPOOL_SECONDS:
                    path.unlink()
                    swept += 1
    return swept
