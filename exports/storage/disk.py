"""Files on a disk, below FILES_ROOT."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from exports.storage.spool import RECEIPT, directory, open_spool


def check() -> None:
    """Raises OSError unless a small file can be stored now."""
    with tempfile.TemporaryFile(dir=directory(settings.FILES_ROOT)) as file:
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
    """A file is stored in one step: there are none."""
    return 0


def link(key: str, disposition: str, content_type: str) -> str | None:
    """A disk answers nobody: web passes the bytes on."""
    return None


def delete_key(key: str) -> None:
    """Removes what is stored at exactly this key, and the directories it leaves empty."""
    path = _path(key)
    path.unlink(missing_ok=True)
    _delete_empty(path)


def _delete_empty(path: Path) -> None:
    with contextlib.suppress(OSError):  # not empty: somebody else's attempt
        for folder in (path.parent, path.parent.parent):
            folder.rmdir()


def put(spool: Path, key: str, receipt: bytes, progress: Callable[[], None]) -> None:
    """Moves the file, durably. Raises OSError if the disk refuses, and leaves nothing then."""
    path = _path(key)
    directory(path.parent)
    try:
        if receipt:
            with open_spool(_path(key + RECEIPT)) as sidecar:
                sidecar.write(receipt)
                os.fsync(sidecar)
        with spool.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(spool, path)  # one file system: both lie below VAR
    except OSError:
        with contextlib.suppress(OSError):
            delete(key)
        raise
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
