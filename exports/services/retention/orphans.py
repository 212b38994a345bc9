"""Stored bytes without a row, as a process leaves them that dies between storing and saying so, or a database that was put back."""

from __future__ import annotations

import itertools
import logging
import re
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from exports import storage
from exports.models import ChangeBase, ExportFile, JobAttempt, Upload
from exports.services.operations import recording
from exports.services.retention.turns import take_turn, yield_turn
from taskexport import ids

log = logging.getLogger(__name__)

EVERY_SECONDS = 24 * 3600
OLD_SECONDS = 24 * 3600  # longer than anything takes between its bytes and its row
SWEEP_SECONDS = 30  # of a tick
BATCH = 200
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Only keys as we make them: what else lies there is not ours to delete.
_EXPORT = re.compile(rf"exports/(?:\d+|None)/(?P<job>{_UUID})/(?P<number>\d+)-(?P<token>[0-9a-f]+)/[^/]+")
_BASE = re.compile(rf"bases/\d+/(?P<job>{_UUID})/(?P<number>\d+)-(?P<token>[0-9a-f]+)")
_UPLOAD = re.compile(rf"uploads/\d+/(?P<upload>{_UUID})")


def sweep_orphans() -> int:
    """Once a day: deletes old stored bytes that no row names. How many keys. What was an organization's is an operation of it."""
    cursor = take_turn("orphans", EVERY_SECONDS)
    if cursor is None:
        return 0
    gone: dict[int, Counter[str]] = defaultdict(Counter)
    try:
        return _sweep(cursor, gone)
    finally:
        recording.of_sweeps(gone)


def _sweep(cursor: str, gone: dict[int, Counter[str]]) -> int:
    until, swept = time.monotonic() + SWEEP_SECONDS, 0
    for batch in _batches(storage.walk(cursor)):
        old = [key for key, changed_at in batch if time.time() - changed_at > OLD_SECONDS]
        for key in sorted(set(old) - _named(old)):
            try:
                storage.delete_key(key)
                swept += 1
                gone[_organization(key)]["stored_files"] += 1
            except OSError as error:  # tomorrow again
                log.warning("orphan not swept", extra={"error": type(error).__name__})
        if time.monotonic() > until:
            yield_turn("orphans", batch[-1][0])
            return swept
    return swept + storage.delete_unfinished(OLD_SECONDS)


def _organization(key: str) -> int:
    """Whose it was; 0 where the key does not say."""
    return ids.number(key.split("/")[1])


def _batches(found: Iterator[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    while batch := list(itertools.islice(found, BATCH)):
        yield batch


def _named(keys: Iterable[str]) -> set[str]:
    """Those that a row names, or that may not be ours: never to be deleted."""
    exports = {key: found for key in keys if (found := _EXPORT.fullmatch(key))}
    bases = {key: found for key in keys if (found := _BASE.fullmatch(key))}
    uploads = {key: found for key in keys if (found := _UPLOAD.fullmatch(key))}
    files = {key.removesuffix(storage.RECEIPT) for key in exports}
    kept = set(ExportFile.objects.filter(key__in=files, deleted_at=None).values_list("key", flat=True))
    kept |= set(ChangeBase.objects.filter(key__in=bases).values_list("key", flat=True))
    ours = exports | bases
    # An attempt that has not ended may be about to say what it stored; one that has is the other sweeper's until that was there.
    attempts = JobAttempt.objects.filter(job__in={found["job"] for found in ours.values()}, swept=False).exclude(outcome__in=["done", "deleted"])
    open_ = {(str(job), str(number), token) for job, number, token in attempts.values_list("job", "number", "token")}
    present = set(Upload.objects.filter(pk__in={uuid.UUID(found["upload"]) for found in uploads.values()}).values_list("pk", flat=True))
    return {
        key
        for key in keys
        if not (
            (key in ours and key.removesuffix(storage.RECEIPT) not in kept and ours[key].group("job", "number", "token") not in open_)
            or (key in uploads and uuid.UUID(uploads[key]["upload"]) not in present)
        )
    }
