"""Where files grow before they are stored, on this machine's disk below VAR."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings

RECEIPT = ".receipt.json"  # behind a stored file's key


def directory(path: Path) -> Path:
    """The folder itself, which exists now and is ours alone."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def spool_path(name: str) -> Path:
    """Where a file of this name grows; the directory exists."""
    return directory(settings.SPOOL_ROOT) / name


class _Spool(io.FileIO):
    """An unbuffered file that takes all of what is written, where a nearly full disk would take a part and say so by a number alone."""

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) :]
        return len(data)


def open_spool(path: Path) -> BinaryIO:
    """A new file, readable by us alone; a write raises OSError or has written all. Raises FileExistsError rather than share one."""
    return cast("BinaryIO", _Spool(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b"))


def delete_old_spools(suffix: str, seconds: int) -> int:
    """Removes spool files of this suffix that nobody has written to for so long; returns how many."""
    deleted = 0
    for path in directory(settings.SPOOL_ROOT).glob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):  # whoever wrote it has just moved it away
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
                deleted += 1
    return deleted


def require_space() -> None:
    """Raises OSError when the disk is nearly full: better not to start than to fail half way."""
    if not has_space():
        raise OSError("no space left for exports")


def has_space() -> bool:
    """Whether the disk below VAR has room for another file."""
    return bool(shutil.disk_usage(directory(settings.SPOOL_ROOT)).free >= settings.FREE_BYTES)
