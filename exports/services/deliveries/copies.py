"""Copies of files to an organization's own bucket: in parts that become an object all together, then its receipt beside it."""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from exports import storage
from exports.models import Delivery, Destination
from exports.services.deliveries import outbox
from exports.services.deliveries.outbox import Undelivered

COPY_SECONDS = 1800  # of a whole copy
KEEP_SECONDS = 30  # between two signs of life
TEST_SECONDS = 10.0  # of a test's call: somebody waits for it


def key_of(delivery: Delivery) -> str:
    """Where a job's file goes, the same at each try: PREFIX/YYYY/MM/DD/JOB/NAME."""
    job, destination = delivery.job, delivery.destination
    assert job is not None and destination is not None  # noqa: S101, PT018 - a copy is of a job's file
    return f"{destination.prefix}/{job.created_at.strftime('%Y/%m/%d')}/{job.pk}/{job.file.name}".lstrip("/")


def send(delivery: Delivery) -> None:
    """Copies the file, then its receipt. Raises Undelivered."""
    from exports.services.deliveries import stores  # only now: the library is large, and few processes copy
    from exports.storage import parts

    destination, file = delivery.destination, getattr(delivery.job, "file", None)
    if destination is None or file is None or not file.is_present:
        raise Undelivered("the file has expired or was deleted", is_final=True, is_endpoint=False)
    until, kept = time.monotonic() + COPY_SECONDS, time.monotonic()

    def look(has_moved: bool) -> None:
        nonlocal kept
        now = time.monotonic()
        if now > until:
            raise Undelivered("the copy took too long")
        if has_moved and now - kept > KEEP_SECONDS:
            kept = now
            outbox.keep(delivery)

    key = key_of(delivery)
    with _Stored(file.key, file.size) as stored, stores.in_words():
        client = stores.client(destination)
        parts.upload(client, destination.bucket, key, cast("BinaryIO", stored), file.size, look)
        receipt = json.dumps(file.receipt, indent=1).encode()
        client.put_object(Bucket=destination.bucket, Key=key + storage.RECEIPT, Body=receipt, ContentType="application/json")


class _Stored:
    """Our stored file, of so many bytes, to read and seek: where it does not give them, that is no fault of the destination."""

    def __init__(self, key: str, size: int) -> None:
        with _ours():
            self._file = storage.open_file(key)
            if self._file.seek(0, io.SEEK_END) != size:
                self._file.close()
                raise OSError("it is not as long as it was")
            self._file.seek(0)

    def __enter__(self) -> _Stored:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        with _ours():
            return self._file.read(size)


@contextmanager
def _ours() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise Undelivered("our own storage did not give the whole file", is_endpoint=False) from None


def test(destination: Destination) -> str:
    """Writes a small object and deletes it: what is wrong, in a sentence, or ""."""
    from exports.services.deliveries import stores  # as above

    key = f"{destination.prefix}/taskexport-test-{secrets.token_hex(8)}.txt".lstrip("/")
    at = {"Bucket": destination.bucket, "Key": key}
    try:
        with stores.in_words():
            client = stores.client(destination, TEST_SECONDS)
            client.put_object(**at, Body=b"A test of taskexport; it may be deleted.\n", ContentType="text/plain")
    except Undelivered as error:
        return _sentence(error.said)
    try:
        with stores.in_words():
            client.delete_object(**at)
    except Undelivered as error:
        return _sentence(f"files can be written, but a test object could not be deleted again ({key}): {error.said}")
    return ""


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:].rstrip('.')}."
