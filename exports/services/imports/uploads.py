"""Files that people send us to import: kept for a day, or until they are imported."""

from __future__ import annotations

import zipfile
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from exports import storage
from exports.models import Litter, TaskImport, Upload
from exports.services import litter
from exports.services import uploads as brought
from exports.services.operations import recording
from exports.states import ACTIVE
from taskexport.errors import AppError, Conflict, Invalid
from tasks import access
from tasks.access import Action
from tasks.models import Organization, User

KEEP_SECONDS = 24 * 3600
UNFINISHED_SECONDS = 3600  # far longer than a web server lets a request last
OPEN_MOST = 20  # uploads of one organization that wait at once
NAME_LENGTH = 200
MEMBERS_MOST = 10_000  # of a workbook's zip
MEMBER_BYTES = 200  # of each in its directory
SNIFF_BYTES = 64 * 1024


class NotATable(AppError):
    """The bytes are neither CSV nor XLSX: 415."""

    status = 415
    code = "not_a_table"


def begin(user: User, organization: Organization) -> Upload:
    """The place for a file that is about to arrive. Raises Forbidden, NotFound, Conflict where too many wait already."""
    access.require(user, Action.WRITE, organization)
    with suppress(OSError):  # what a killed web process left on its own machine, where nothing ticks
        litter.sweep_spool()
    with transaction.atomic():
        if Upload.objects.filter(organization=organization, expires_at__gt=Now()).count() >= OPEN_MOST:
            raise Conflict(
                f"{OPEN_MOST} uploads of this organization wait to be imported; import them, or wait for their end.", code="too_many_uploads"
            )
        return Upload.objects.create(organization=organization, created_by=user, expires_at=timezone.now() + timedelta(seconds=KEEP_SECONDS))


def finish(upload: Upload, spool: Path, *, name: str, size: int, sha256: str) -> Upload:
    """Stores what has arrived in the spool. Raises Invalid, NotATable, Unavailable, Conflict if the sweeper took it for given up."""
    if size == 0:
        raise Invalid.field("file", "The file is empty.")
    kind = _kind(spool)
    with brought.disk_faults():
        storage.put(spool, upload.key)
    name = "".join(c for c in name.replace("\\", "/").rpartition("/")[2] if c.isprintable())[-NAME_LENGTH:] or f"upload.{kind}"
    rows = Upload.objects.filter(pk=upload.pk)
    if not rows.update(name=name, kind=kind, size=size, sha256=sha256, finished_at=Now()):
        storage.delete(upload.key)
        raise Conflict("The upload took too long; send it again.", code="upload_expired")
    return rows.get()


def abandon(upload: Upload) -> None:
    """Removes what has arrived of an upload that failed; may be called twice."""
    storage.spool_path(upload.spool_name).unlink(missing_ok=True)
    with suppress(OSError):  # else the sweeper of what no row names
        storage.delete(upload.key)
    Upload.objects.filter(pk=upload.pk).delete()


def get(user: User, organization: Organization, upload_id: Any) -> Upload:
    """The user's own upload in this organization, whole and not expired. Raises Invalid."""
    found = Upload.objects.filter(pk=upload_id, organization=organization, created_by=user, finished_at__isnull=False, expires_at__gt=Now()).first()
    if found is None:
        raise Invalid.field("upload_id", "You have no such upload here, or it has expired.", "unknown")
    return found


def _kind(path: Path) -> str:
    """`csv` or `xlsx`, by the bytes, whatever the name says. Raises NotATable, Invalid."""
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    if not head.startswith(b"PK\x03\x04"):
        if b"\0" in head or head.startswith((b"\x1f\x8b", b"%PDF")):
            raise NotATable("This is neither CSV (UTF-8) nor XLSX.")
        return "csv"
    try:
        with path.open("rb") as file, zipfile.ZipFile(cast(BinaryIO, brought.Careful(file, MEMBERS_MOST * MEMBER_BYTES))) as book:
            members = book.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise NotATable("The workbook is damaged: it is no whole zip.") from None
    if "xl/workbook.xml" not in {member.filename for member in members}:
        raise NotATable("This is neither CSV (UTF-8) nor XLSX.")
    if len(members) > MEMBERS_MOST or sum(member.file_size for member in members) > settings.IMPORT_UNPACKED_MAX_BYTES:
        raise Invalid.field("file", "The workbook is too large once it is unpacked; send CSV.", "too_large")
    if any(member.flag_bits & 1 for member in members):
        raise Invalid.field("file", "The workbook is encrypted; save it without a password.")
    return "xlsx"


def sweep() -> int:
    """Forgets uploads that have expired or never arrived whole, but none that an import still needs; their bytes are litter. How many."""
    needed = TaskImport.objects.filter(upload=OuterRef("pk"), status__in=ACTIVE)
    given_up = Q(finished_at__isnull=True, created_at__lt=Now() - timedelta(seconds=UNFINISHED_SECONDS))
    over = Upload.objects.filter(~Exists(needed)).filter(Q(expires_at__lte=Now()) | given_up)
    with transaction.atomic():
        gone = list(over.select_for_update(skip_locked=True).order_by("pk")[:1000])
        Litter.objects.bulk_create([Litter(kind=Litter.Kind.FILE, name=upload.key) for upload in gone])
        Litter.objects.bulk_create([Litter(kind=Litter.Kind.SPOOL, name=upload.spool_name) for upload in gone])
        counts = Counter(upload.organization_id for upload in gone)
        recording.of_sweeps({organization_id: {"uploads": count} for organization_id, count in counts.items()})
        Upload.objects.filter(pk__in=[upload.pk for upload in gone]).delete()
    return len(gone)
