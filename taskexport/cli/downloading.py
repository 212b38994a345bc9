"""A file fetched whole: into FILE.part, taken up where it broke off, checked against the job, and only then FILE."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from taskexport.cli.api import NETWORK_ERRORS, Api
from taskexport.cli.failing import Exit, Failure

BLOCK_BYTES = 1 << 18
BREAKS_MOST = 5  # in a row without a byte more
PAUSE_SECONDS = 0.2  # longer with each break


class _Broken(Exception):
    """The connection broke, not the disk."""


Say = Callable[[int, int], None]


def fetch(api: Api, job: dict[str, Any], to: Path, say: Say) -> Path:
    """The job's file at `to`, whole; `say` hears of bytes done and all of them. Raises Failure, and then FILE is as it was."""
    file = job.get("file")
    if job["status"] != "done" or not file:
        code = Exit.JOB_FAILED if job["status"] in {"failed", "cancelled"} else Exit.REFUSED
        raise Failure(code, f"The job is {job['status']}; there is a file once it is done.")
    path = to / Path(file["name"]).name if os.path.isdir(to) else to
    part = path.with_name(path.name + ".part")
    try:
        with _open(part) as target:
            try:
                _fill_whole(api, job, target, say)
            except Failure as error:
                if error.exit_code == Exit.CHECKSUM or target.seek(0, os.SEEK_END) == 0:
                    part.unlink()
                raise
            target.flush()
            os.fsync(target.fileno())
            os.replace(part, path)
    except OSError as error:
        raise Failure(Exit.USAGE, f"{path} cannot be written: {error.strerror}") from None
    return path


def require_writable(to: Path) -> None:
    """Raises Failure unless a file can be put there, as far as one sees before."""
    folder = to if os.path.isdir(to) else to.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Failure(Exit.USAGE, f"{folder} is no folder that can be written.")


def _open(part: Path) -> BinaryIO:
    target = os.fdopen(os.open(part, os.O_CREAT | os.O_RDWR, 0o600), "r+b")
    try:
        fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        target.close()
        raise Failure(Exit.USAGE, f"Another process is writing {part}.") from None
    return target


def _fill_whole(api: Api, job: dict[str, Any], target: BinaryIO, say: Say) -> None:
    """Fills the target, and once more from the start where what lay there was not of this file. Raises Failure."""
    resumed = os.fstat(target.fileno()).st_size > 0
    _fill(api, job, target, say)
    if resumed and not _is_whole(target, job["file"]):
        target.truncate(0)
        _fill(api, job, target, say)
    if not _is_whole(target, job["file"]):
        raise Failure(Exit.CHECKSUM, "The file differs from what was exported (size or SHA-256); nothing was kept.")


def _fill(api: Api, job: dict[str, Any], target: BinaryIO, say: Say) -> None:
    """Writes what is missing, as often as the connection breaks and something came. Raises Failure."""
    size, breaks = job["file"]["size"], 0
    while (have := target.seek(0, os.SEEK_END)) < size or size == 0:
        try:
            _fill_once(api, job, target, have, say)
            broken = "the connection was closed"
        except _Broken as error:
            broken = str(error)
        if target.seek(0, os.SEEK_END) >= size:
            return
        breaks = 0 if target.tell() > have else breaks + 1
        if breaks >= BREAKS_MOST:
            raise Failure(Exit.NETWORK, f"The download broke off at {have:,} of {size:,} bytes ({broken}); run it again to go on.")
        time.sleep(PAUSE_SECONDS * breaks)


def _fill_once(api: Api, job: dict[str, Any], target: BinaryIO, have: int, say: Say) -> None:
    size = job["file"]["size"]
    # The ETag is the file's SHA-256: the rest of another file would come as a whole one, from the start.
    headers = {"Range": f"bytes={have}-", "If-Range": f'"{job["file"]["sha256"]}"'} if have else {}
    with api.open("GET", f"/api/v1/export-jobs/{job['id']}/download", headers=headers) as answer:
        if answer.status != 206:
            have = 0
            target.truncate(0)
        target.seek(have)
        while block := _read(answer):
            target.write(block)
            have += len(block)
            if have > size:  # it can't be the file any more
                return
            say(have, size)


def _read(answer: Any) -> bytes:
    try:
        return bytes(answer.read1(BLOCK_BYTES))
    except NETWORK_ERRORS as error:
        raise _Broken(str(error)) from None


def _is_whole(target: BinaryIO, file: dict[str, Any]) -> bool:
    digest, size = hashlib.sha256(), 0
    target.seek(0)
    while block := target.read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
    return size == file["size"] and digest.hexdigest() == file["sha256"]
