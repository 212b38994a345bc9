"""Files in a bucket of Amazon S3, or of a store that speaks its language.

Never `with storage.open(key, "wb")`: that completes the upload when the body raises, and publishes a cut file.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from boto3.exceptions import Boto3Error
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from django.conf import settings
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from exports.storage import parts
from exports.storage.spool import RECEIPT

CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 20, 4  # of one call; a lease is longer than the first two together
_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}


@lru_cache(maxsize=8)
def _made(bucket: str, endpoint: str, region: str, key_id: str, secret: str, prefix: str, addressing: str, checksum: str) -> S3Storage:
    config = Config(
        signature_version="s3v4",  # else links are signed in the old way
        region_name=region,
        s3={"addressing_style": addressing},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
        request_checksum_calculation=checksum,
        response_checksum_validation=checksum,
    )
    return S3Storage(
        bucket_name=bucket,
        endpoint_url=endpoint or None,
        region_name=region,
        access_key=key_id or None,
        secret_key=secret or None,
        location=prefix,
        client_config=config,
        custom_domain=None,  # its links would not be signed
        querystring_auth=True,
        default_acl=None,
        file_overwrite=False,
    )


def _storage(endpoint: str | None = None) -> S3Storage:
    return _made(
        settings.S3_BUCKET,
        settings.S3_ENDPOINT_URL if endpoint is None else endpoint,
        settings.S3_REGION,
        settings.S3_ACCESS_KEY_ID,
        settings.S3_SECRET_ACCESS_KEY,
        settings.S3_PREFIX,
        settings.S3_ADDRESSING,
        settings.S3_CHECKSUM,
    )


def _client() -> Any:
    return _storage().connection.meta.client


def _at(key: str) -> dict[str, str]:
    return {"Bucket": settings.S3_BUCKET, "Key": _prefix() + key}


def _prefix() -> str:
    return f"{settings.S3_PREFIX}/" if settings.S3_PREFIX else ""


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What the store says, as a disk would; never with its words, which hold keys and hosts."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise FileNotFoundError("no such stored file") from None
        raise OSError(f"the storage refused: {code}") from None
    except (BotoCoreError, HTTPClientError, Boto3Error, HTTPError) as error:
        raise OSError(f"the storage did not answer: {type(error).__name__}") from None


def check() -> None:
    """Raises OSError unless the bucket answers."""
    with _as_os_errors():
        _client().list_objects_v2(Bucket=settings.S3_BUCKET, Prefix=_prefix(), MaxKeys=1)


def put(spool: Path, key: str, receipt: bytes, progress: Callable[[], None]) -> None:
    """Uploads the file whole, looks at what has arrived, and removes the spool file."""
    try:
        with _as_os_errors():
            if receipt:
                _client().put_object(**_at(key + RECEIPT), Body=receipt, ContentType="application/json")
            with spool.open("rb") as file:
                upload(file, key, spool.stat().st_size, progress)
    except BaseException:
        with suppress(OSError):  # else the sweeper
            delete(key)
        raise
    spool.unlink(missing_ok=True)


def upload(file: BinaryIO, key: str, size: int, progress: Callable[[], None]) -> None:
    """Uploads these bytes in parts, which become an object only all together. Raises what reading them raises, OSError."""
    parts.upload(_client(), settings.S3_BUCKET, _at(key)["Key"], file, size, lambda has_moved: progress() if has_moved else None)


class _Stored(io.RawIOBase):
    """A stored object as a file: one GET from where it is read on."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key, self._at, self._body = key, 0, cast(Any, None)
        with _as_os_errors():
            self._size = int(_client().head_object(**_at(key))["ContentLength"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset != self._at:
            self._drop()
            self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        if self._at >= self._size:
            return b""
        with _as_os_errors():
            if self._body is None:
                self._body = _client().get_object(**_at(self._key), Range=f"bytes={self._at}-")["Body"]
            piece: bytes = self._body.read(None if size is None or size < 0 else size)
        self._at += len(piece)
        if not piece and size:
            raise OSError("the stored file ended early")
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        self._drop()
        super().close()


def open_file(key: str) -> BinaryIO:
    """The stored bytes. Raises FileNotFoundError, OSError."""
    return cast(BinaryIO, _Stored(key))


def link(key: str, disposition: str, content_type: str) -> str | None:
    """A signed URL of the store as browsers reach it; None where the settings want none."""
    if not settings.S3_PRESIGN:
        return None
    shown = {"ResponseContentDisposition": disposition, "ResponseContentType": content_type, "ResponseCacheControl": "private, no-store"}
    with _as_os_errors():
        return str(_storage(settings.S3_PUBLIC_URL).url(key, parameters=shown, expire=settings.S3_PRESIGN_SECONDS))


def delete(key: str) -> None:
    """Removes a stored file with its receipt."""
    delete_key(key + RECEIPT)
    delete_key(key)


def delete_key(key: str) -> None:
    """Removes what is stored at exactly this key; there may be nothing."""
    with suppress(FileNotFoundError), _as_os_errors():
        _client().delete_object(**_at(key))


def delete_folder(prefix: str) -> int:
    """Removes everything under a prefix, and ends what is being uploaded there; returns how many files there were."""
    names = [key for key, _ in _listed(Prefix=f"{_prefix()}{prefix}/")]
    for key in names:
        delete_key(key)
    _abort(f"{_prefix()}{prefix}/", 0)
    return len(names)


def delete_unfinished(seconds: int) -> int:
    """Ends uploads that were begun so long ago; how many."""
    return _abort(_prefix(), seconds)


def _abort(prefix: str, seconds: int) -> int:
    aborted = 0
    with _as_os_errors():
        pages = _client().get_paginator("list_multipart_uploads").paginate(Bucket=settings.S3_BUCKET, Prefix=prefix)
        for begun in [one for page in pages for one in page.get("Uploads", [])]:
            if time.time() - begun["Initiated"].timestamp() >= seconds:
                with suppress(FileNotFoundError), _as_os_errors():
                    _client().abort_multipart_upload(Bucket=settings.S3_BUCKET, Key=begun["Key"], UploadId=begun["UploadId"])
                    aborted += 1
    return aborted


def walk(after: str) -> Iterator[tuple[str, float]]:
    """Every stored key behind this one, in order, and when it was stored."""
    return _listed(Prefix=_prefix(), **({"StartAfter": _prefix() + after} if after else {}))


def _listed(**which: str) -> Iterator[tuple[str, float]]:
    with _as_os_errors():
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=settings.S3_BUCKET, **which):
            for one in page.get("Contents", []):
                yield one["Key"].removeprefix(_prefix()), one["LastModified"].timestamp()
