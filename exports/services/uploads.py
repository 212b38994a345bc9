"""The file that an external runner brings: spooled as it comes, looked through, and published as our own are.

Nothing of it is ever unpacked to the disk, or held in memory.
"""

from __future__ import annotations

import csv
import hashlib
import secrets
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings

from exports import storage
from exports.datasets import Spec
from exports.formats import content_type, stem
from exports.models import ExportJob
from exports.services import filing, jobs, limits, litter, receipts
from taskexport.errors import Conflict, Invalid, NotFound, TooLarge, Unavailable, WrongType
from tasks.models import User

MEDIA_TYPE = "application/zip"
EXTENSION = "csv.zip"
SUFFIX = litter.BROUGHT  # of spool files
MEGABYTE = 1024 * 1024
DIRECTORY_BYTES = MEGABYTE  # a zip of one member has a directory of a few hundred
RATIO_MOST = 500  # deflate reaches 1,032 on a file made for it, a CSV seldom 100
RATIO_FROM_BYTES = 16 * MEGABYTE  # a small file may be as repetitive as it likes
PIECE_BYTES = 256 * 1024
RETRY_SECONDS = 60


class Spool:
    """An upload while it comes in. Raises TooLarge past the limit, Unavailable when the disk refuses."""

    def __init__(self) -> None:
        with suppress(OSError):  # what a killed web process left on its own machine, where nothing ticks
            litter.sweep_spool()
        self.path = storage.spool_path(f"{secrets.token_hex(8)}{SUFFIX}")
        self.name = ""  # as the runner calls the file
        self.media_type = ""
        self.size = 0
        self._digest = hashlib.sha256()
        with disk_faults():
            storage.require_space()
            self._file = storage.open_spool(self.path)

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        self.size += len(piece)
        if self.size > settings.UPLOAD_MB * MEGABYTE:
            raise TooLarge(f"The file is larger than {settings.UPLOAD_MB} MB.")
        self._digest.update(piece)
        with disk_faults():
            self._file.write(piece)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def close(self) -> None:
        """No more bytes come; may be called twice."""
        self._file.close()

    def discard(self) -> None:
        """Removes what is left of it, if anything is."""
        self.close()
        self.path.unlink(missing_ok=True)


@contextmanager
def disk_faults() -> Iterator[None]:
    """Whatever disk or storage refuse inside is nobody's fault who asks. Raises Unavailable."""
    try:
        yield
    except OSError:
        raise Unavailable("The storage takes no files now; try again later.", code="storage_unavailable", retry_after_seconds=RETRY_SECONDS) from None


def finish(user: User, job: ExportJob, spool: Spool, version_rev: str | None = None) -> None:
    """in progress → done with the file that the job's runner has brought.

    Raises Invalid, TooLarge or WrongType for a file that is none, Conflict or Forbidden if the job is not the runner's any more;
    the job stays as it was.
    """
    claim = jobs.require_uploader(user, job, version_rev)
    spool.close()
    if spool.media_type != MEDIA_TYPE:
        raise WrongType(f"The part named file is {spool.media_type or 'of no type'}; send it as {MEDIA_TYPE}.")
    if not spool.name.endswith(f".{EXTENSION}"):
        raise _refused(f"Its name must end with .{EXTENSION}, such as {stem(job.pk)}.{EXTENSION}.")
    if not spool.size:
        raise _refused("It is empty.")
    spec = Spec.from_json(job.spec)
    rows = count_rows(spool.path, spec.options)
    name = f"{stem(job.pk)}.{EXTENSION}"
    # A key of its own: two uploads for one attempt must not meet in the storage.
    key = f"{claim.attempt.key_prefix}/{secrets.token_hex(4)}-{name}"
    # As of a file of ours, but for what only whoever made it knows: its columns, its moment, what was counted.
    uploaded = {"by": user.pk, "name": spool.name, "at": datetime.now(UTC).isoformat()}
    receipt = filing.facts(claim, spec, name, spool.size, spool.sha256, rows) | {"uploaded": uploaded}
    file = filing.row(claim, receipt, key, content_type(EXTENSION), limits.expiry(job.organization))
    with disk_faults():
        storage.put(spool.path, key)
    try:
        jobs.publish(claim, file, actor=user, version_rev=version_rev)
    except (Conflict, NotFound):  # cancelled, given up, or published by another upload meanwhile
        storage.delete(key)
        raise


# -- What is in it -------------------------------------------------------------------------------------------------
def _refused(detail: str) -> Invalid:
    return Invalid.field("file", detail)


class Careful:
    """A file for zipfile, which reads a directory of any size at once and makes an object of each entry; this one gives no more than `most` bytes."""

    def __init__(self, file: BinaryIO, most: int = DIRECTORY_BYTES) -> None:
        self._file, self._most = file, most

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size if 0 <= size <= self._most else self._most + 1)
        if len(piece) > self._most:
            raise zipfile.BadZipFile("its directory is too large")
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset < 0:  # as its directory says; the file itself would raise an OSError, as a broken disk does
            raise zipfile.BadZipFile("it points outside of itself")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


class _Measured:
    """A member's bytes, counted as they are unpacked; the sizes that a zip declares prove nothing."""

    def __init__(self, stream: Any, packed: int) -> None:
        self._stream, self._packed, self._unpacked = stream, packed, 0
        self.closed = False

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def read1(self, size: int = PIECE_BYTES) -> bytes:
        piece: bytes = self._stream.read(max(size, PIECE_BYTES))
        self._unpacked += len(piece)
        if self._unpacked > settings.UPLOAD_UNPACKED_MB * MEGABYTE:
            raise TooLarge(f"The CSV in it is larger than {settings.UPLOAD_UNPACKED_MB} MB.")
        if self._unpacked > max(RATIO_FROM_BYTES, RATIO_MOST * self._packed):
            raise _refused(f"It unpacks to more than {RATIO_MOST} times its size.")
        return piece

    read = read1

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def count_rows(path: Path, options: dict[str, Any]) -> int:
    """The rows of the one CSV in this zip, which is read to its end and its CRC checked. Raises Invalid, TooLarge."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(cast(BinaryIO, Careful(file))) as archive:
            member = _only_csv(archive.infolist())
            with archive.open(member) as stream:
                return receipts.rows_uploaded(cast(BinaryIO, _Measured(stream, member.compress_size)), options)
    except csv.Error:
        raise _refused("What is in it does not read as CSV.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError):
        raise _refused("It is no whole zip file.") from None


def _only_csv(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    if len(members) != 1:
        raise _refused(f"The zip has {len(members)} members; it must have one, a CSV.")
    member = members[0]
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/") or "\0" in name:
        raise _refused("Its member's name leads out of the folder.")
    if not name.lower().endswith(".csv") or stat.S_ISLNK(member.external_attr >> 16):
        raise _refused("Its member must be a .csv file.")
    if member.flag_bits & 0x41:
        raise _refused("Its member is encrypted.")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _refused("Its member must be stored or deflated.")
    return member
