"""Several jobs' files as one zip, written while it is sent: nothing is kept, and every file's own rights and log apply."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from stream_zip import ZIP_64, stream_zip

from exports.formats.archive import CHUNK_BYTES, FILE_MODE
from exports.models import ExportFile, ExportJob
from exports.services import files
from taskexport.errors import AppError, Forbidden, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import User

MOST_FILES = 50
MOST_BYTES = 4 * 1024**3
DOOR = "bundle"


class Broken(Exception):
    """A file is not whole any more: the transfer breaks off, so that nobody takes the zip for whole."""


def of_jobs(user: User, chosen: list[ExportJob]) -> tuple[str, Iterator[bytes]]:
    """The zip's name and bytes; each file is in the download log from now on.

    Raises Invalid (none, or too many or too much at once; the message says how many), Forbidden, Conflict, Gone, NotFound, Unavailable of
    the first job whose file can't be had, by its name; then nothing is logged.
    """
    if not 1 <= len(chosen) <= MOST_FILES:
        raise Invalid(f"Choose 1 to {MOST_FILES} jobs for one zip.")
    found = []
    for job in chosen:
        with _named(job):
            found.append(_file(user, job))
    size = sum(file.size for file in found)
    if size > MOST_BYTES:
        raise Invalid(f"These files have {size / 1024**3:.1f} GB together; one zip takes {MOST_BYTES // 1024**3} GB. Choose fewer.")
    for job, file in zip(chosen, found, strict=True):
        with _named(job):
            files.open_stored(file).close()  # it is there
    for file in found:
        files.log_download(user, file, DOOR)
    now = datetime.now(UTC)
    return f"exports-{now:%Y%m%d-%H%M%S}.zip", _zip(found, now)


def _file(user: User, job: ExportJob) -> ExportFile:
    if not access.can(user, Action.READ, job.organization_id):
        raise Forbidden("You may not read it.")
    return files.of_job(job)


@contextmanager
def _named(job: ExportJob) -> Iterator[None]:
    """Whatever is refused inside says of which job."""
    try:
        yield
    except AppError as error:
        error.message = f"{job.name}: {error.message} Nothing was downloaded; leave it out."
        raise


def _zip(found: list[ExportFile], now: datetime) -> Iterator[bytes]:
    # They are packed already, so they are only wrapped; with 64 bits, since nobody knows a size before its end.
    entries = ((name, now, FILE_MODE, ZIP_64, _pieces(file)) for name, file in zip(_names(found), found, strict=True))
    return iter(stream_zip(entries, chunk_size=CHUNK_BYTES, get_compressobj=_wrap))


def _names(found: list[ExportFile]) -> list[str]:
    """The files' names, each one once: all files of a schedule may have one name, and whoever unpacks them would keep the last alone."""
    times = Counter(file.name.lower() for file in found)
    return [file.name if times[file.name.lower()] == 1 else f"{file.job_id}-{file.name}" for file in found]


def _wrap() -> Any:
    return zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)


def _pieces(file: ExportFile) -> Iterator[bytes]:
    size = 0
    stored: BinaryIO
    with files.open_stored(file) as stored:
        while piece := stored.read(CHUNK_BYTES):
            size += len(piece)
            yield piece
    if size != file.size:
        raise Broken(file.pk)
