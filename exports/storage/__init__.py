"""Where files live: spooled below VAR while they grow, then put under a key in one step. Nobody reads a half-written file.

The keys are of a bucket where the settings name one, and of a folder below VAR where they do not; both keep the same promises.
Beside each file lies its receipt, so that whoever finds the file without the database can still check it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from exports.storage import disk
from exports.storage.spool import RECEIPT, delete_old_spools, has_space, open_spool, require_space, spool_path


def _store() -> Any:
    if settings.S3_BUCKET:
        from exports.storage import s3  # only now: the library is large, and clients are made in the process that uses them

        return s3
    return disk


def check() -> None:
    """Raises OSError unless a file could be spooled and stored now."""
    require_space()
    _store().check()


def put(spool: Path, key: str, receipt: bytes = b"", progress: Callable[[], None] = lambda: None) -> None:
    """Moves a finished spool file to its key at once: the key holds all of it or does not exist. Its receipt is there first.

    Keys are never used twice (an attempt's random token is part of each). `progress` is called as the bytes move; what it
    raises ends the upload. Raises OSError if the storage refuses; nothing is at the key, nor its receipt, then.
    """
    _store().put(spool, key, receipt, progress)


def open_file(key: str) -> BinaryIO:
    """The stored bytes, to read and seek. Raises FileNotFoundError, OSError."""
    stored: BinaryIO = _store().open_file(key)
    return stored


def link(key: str, *, disposition: str, content_type: str) -> str | None:
    """A URL that opens the bytes for whoever has it, for two minutes; None where there is no such thing."""
    url: str | None = _store().link(key, disposition, content_type)
    return url


def delete(key: str) -> None:
    """Removes a stored file with its receipt; one that is gone already is fine. Raises OSError."""
    _store().delete(key)


def delete_key(key: str) -> None:
    """Removes what is stored at exactly this key. Raises OSError."""
    _store().delete_key(key)


def delete_folder(prefix: str) -> int:
    """Removes everything under a prefix; returns how many files there were. Raises OSError."""
    return int(_store().delete_folder(prefix))


def delete_unfinished(seconds: int) -> int:
    """Ends uploads to the storage that were begun so long ago and never finished; how many. Raises OSError."""
    return int(_store().delete_unfinished(seconds))


def walk(after: str = "") -> Iterator[tuple[str, float]]:
    """Every stored key behind this one, in order, and when it was last changed, in seconds since 1970. Raises OSError."""
    found: Iterator[tuple[str, float]] = _store().walk(after)
    return found


__all__ = [
    "RECEIPT",
    "check",
    "delete",
    "delete_folder",
    "delete_key",
    "delete_old_spools",
    "delete_unfinished",
    "has_space",
    "link",
    "open_file",
    "open_spool",
    "put",
    "require_space",
    "spool_path",
    "walk",
]
