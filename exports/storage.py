"""Where files live: spooled below VAR while they grow, then put under a key in one step. Nobody reads a half-written file.

Beside each file lies its receipt, so that whoever finds the file without the database can still check it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

RECEIPT = ".receipt.json"  # behind a file's key


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def spool_path(name: str) -> Path:
    """Where a file of this name grows; the directory exists."""
    return _directory(settings.SPOOL_ROOT) / name


def open_spool(path: Path) -> BinaryIO:
    """A new file, readable by us alone. Raises FileExistsError rather than share one."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b", buffering=0)


def delete_old_spools(suffix: str, seconds: int) -> int:
    """Removes spool files of this suffix that nobody has written to for so long; returns how many."""
    old = [path for path in _directory(settings.SPOOL_ROOT).glob(f"*{suffix}") if time.time() - path.stat().st_mtime > seconds]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def require_space() -> None:
    """Raises OSError when the disk is nearly full: better not to start than to fail half way."""
    if not has_space():
        raise OSError("no space left for exports")


def has_space() -> bool:
    """Whether the disk below VAR has room for another file."""
    return bool(shutil.disk_usage(_directory(settings.SPOOL_ROOT)).free >= settings.FREE_BYTES)


def check() -> None:
    """Raises OSError unless a small file can be spooled and stored now."""
    require_space()
    for folder in (settings.SPOOL_ROOT, settings.FILES_ROOT):
        with tempfile.TemporaryFile(dir=_directory(folder)) as file:
            file.write(b"ready")


def _path(key: str) -> Path:
    path = (settings.FILES_ROOT / key).resolve()
    if not path.is_relative_to(settings.FILES_ROOT.resolve()):
        raise ValueError("a storage key never leaves the storage root")
    return path


def walk(after: str = "") -> Iterator[tuple[str, float]]:
    """Every stored key behind this one, in order, and when it was last changed, in seconds since 1970."""

    def visit(folder: Path, prefix: str) -> Iterator[tuple[str, float]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            # As the keys are ordered: a folder's name ends in a slash there.
            for name, entry in sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in entries):
                key = prefix + name
                if name.endswith("/") and (key > after or after.startswith(key)):
                    yield from visit(Path(entry.path), key)
                elif not name.endswith("/") and key > after:
                    with contextlib.suppress(FileNotFoundError):
                        yield key, entry.stat(follow_symlinks=False).st_mtime

    return visit(settings.FILES_ROOT, "")


def delete_unfinished(seconds: int) -> int:
    """Ends uploads to the storage that were begun so long ago and never finished; how many. A disk has none."""
    return 0


def delete_key(key: str) -> None:
    """Removes what is stored at exactly this key, and the directories it leaves empty."""
    path = _path(key)
    path.unlink(missing_ok=True)
    _delete_empty(path)


def _delete_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # not empty: somebody else's attempt
        for directory in (path.parent, path.parent.parent):
            directory.rmdir()


def put(spool: Path, key: str, receipt: bytes = b"") -> None:
    """Moves a finished spool file to its key, durably and at once: the key holds all of it or does not exist. Its receipt is there first.

    Keys are never used twice (an attempt's random token is part of each). Raises OSError if the disk refuses.
    """
    path = _path(key)
    _directory(path.parent)
    if receipt:
        with open_spool(_path(key + RECEIPT)) as sidecar:
            if sidecar.write(receipt) != len(receipt):
                raise OSError("no space left for the receipt")
            os.fsync(sidecar)
    with spool.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(spool, path)  # one file system: both lie below VAR
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_file(key: str) -> BinaryIO:
    """The stored bytes. Raises FileNotFoundError."""
    return _path(key).open("rb")


def delete(key: str) -> None:
    """Removes a stored file with its receipt and the directories they leave empty; one that is gone already is fine."""
    _path(key + RECEIPT).unlink(missing_ok=True)
    delete_key(key)


def delete_folder(prefix: str) -> int:
    """Removes everything under a prefix; returns how many files there were."""
    names = [path for path in _path(prefix).glob("*") if path.is_file()]
    for path in names:
        delete(f"{prefix}/{path.name}")
    return len(names)
