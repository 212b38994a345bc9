"""Published files: links to them, and who may open them."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

from django.conf import settings
from django.core import signing
from django.db.models import Q
from django.utils import timezone
from django.utils.http import content_disposition_header

from exports import storage
from exports.models import Download, ExportFile, ExportJob, Runner
from exports.services import changes
from exports.states import JobStatus
from taskexport.errors import Conflict, Forbidden, Gone, NotFound, Unavailable
from tasks import access
from tasks.models import User

STEP_SECONDS = 60
RETRY_SECONDS = 60
MOST_COPIES = 10  # of an expired file that are looked at
NOT_KEPT = "/not-kept"  # ends the key of a file that was streamed to whoever asked, and never stored


class _Signer(signing.TimestampSigner):
    """Signs with the minute, so that a job read twice in a row is the same body, with the same ETag."""

    def timestamp(self) -> str:
        return signing.b62_encode(int(time.time()) // STEP_SECONDS * STEP_SECONDS)


_signer = _Signer(salt="taskexport.link")


def link(user: User, file: ExportFile) -> str:
    """A path that opens this file for this user for an hour; the user's rights are asked again when it is used."""
    return f"/d/{_signer.sign_object([file.pk, user.pk], compress=False)}"


def by_link(token: str) -> tuple[ExportFile, User]:
    """The file and the user a link was made for. Raises Forbidden (tampered, expired, rights lost), NotFound, Gone."""
    try:
        file_id, user_id = _signer.unsign_object(token, max_age=settings.LINK_SECONDS + STEP_SECONDS)
    except signing.SignatureExpired:
        raise Forbidden("This link is older than an hour; read the job again for a new one.", code="link_expired") from None
    except signing.BadSignature:
        raise Forbidden("This link is not one of ours, or not whole.", code="link_invalid") from None
    user = User.objects.filter(pk=user_id, is_active=True).first()
    file = ExportFile.objects.select_related("job").filter(pk=file_id).first()
    if user is None or file is None or not access.can(user, access.Action.READ, file.job.organization_id) or not _may_sign_in(user):
        raise Forbidden("You may no longer open this file.", code="link_refused")
    return require_present(file), user


def _may_sign_in(user: User) -> bool:
    """A service account without an open access token is as good as gone; its links go with it."""
    if not user.is_service:
        return True
    return user.access_tokens.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None).exists()


def of_job(job: ExportJob) -> ExportFile:
    """The file of a visible job. Raises Conflict (not done), NotFound, Gone."""
    if job.status != JobStatus.DONE:
        raise Conflict(f"The job is {job.status}; there is a file once it is done.", code="not_done")
    file = ExportFile.objects.select_related("job").filter(job=job).first()
    if file is None:
        raise NotFound("This job's file was removed.")
    return require_present(file)


def require_present(file: ExportFile) -> ExportFile:
    """The file itself. Raises Gone once it has expired."""
    if file.key.endswith(NOT_KEPT):
        raise Gone("A direct export's file went to whoever asked for it and is not kept; ask for it again.", code="file_not_kept")
    if not file.is_present:
        raise Gone(f"The file has expired. {_how_again(file)}", code="file_expired")
    return file


def present_or_again(file: ExportFile) -> ExportFile:
    """The file itself, or once it has expired the newest that was made again of its job. Raises Gone."""
    if not file.is_present:
        again = ExportFile.objects.select_related("job").filter(job__again_of=file.job_id, job__status=JobStatus.DONE, job__deleted_at=None)
        for copy in again.order_by("-created_at", "-pk")[:MOST_COPIES]:
            if copy.is_present:
                return copy
    return require_present(file)


def _how_again(file: ExportFile) -> str:
    if file.job.runner == Runner.WEB:
        return "It was made in the request that asked for it; ask again in the same way."
    if changes.is_one(file.job):
        return f"A file of changes can't be made again. {changes.HOW_AGAIN}"
    return f"Make it again, in the admin or with POST /api/v1/export-jobs/{file.job_id}/again and …/start: that runs the same frozen spec."


def open_stored(file: ExportFile) -> BinaryIO:
    """The stored bytes. Raises Gone, Unavailable."""
    try:
        return storage.open_file(file.key)
    except FileNotFoundError:
        raise Gone(f"The file is gone from the storage. {_how_again(file)}", code="file_missing") from None
    except OSError:
        raise _no_answer() from None


def store_link(file: ExportFile) -> str | None:
    """A URL of the storage itself, for two minutes and whoever has it; None where web passes the bytes on. Raises Gone."""
    disposition = str(content_disposition_header(True, file.name))
    try:
        url = storage.link(file.key, disposition=disposition, content_type=file.content_type)
    except OSError:
        raise _no_answer() from None
    if url:
        open_stored(file).close()  # it is there
    return url


def _no_answer() -> Unavailable:
    return Unavailable("The storage does not answer; try again later.", code="storage_unavailable", retry_after_seconds=RETRY_SECONDS)


def log_download(user: Any, file: ExportFile, door: str) -> None:
    """A line in the download log: this user is given the file, whole or in part."""
    Download.objects.create(file=file, user=user, door=door)
