"""Uploads to S3 in parts, which become an object only all together: ours, and copies to others' buckets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, BinaryIO

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from s3transfer.subscribers import BaseSubscriber

PART_BYTES = 8 * 1024 * 1024
MOST_PARTS = 9000  # S3 takes 10,000
LOOK_SECONDS = 0.02
THREADS = 4  # an upload holds so many parts in memory


class _Moved(BaseSubscriber):
    """Counts what has gone out, in the threads that send it."""

    def __init__(self) -> None:
        self.bytes = 0

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
        self.bytes += bytes_transferred


def upload(client: Any, bucket: str, key: str, file: BinaryIO, size: int, look: Callable[[bool], None]) -> None:
    """Uploads these bytes, and looks at what has arrived. `look` is called again and again, and told whether bytes have moved; what it
    raises ends the upload. Raises what reading the file raises, the library's own errors, OSError where too few arrived."""
    config = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=max(PART_BYTES, -(-size // MOST_PARTS)), max_concurrency=THREADS)
    moved, seen = _Moved(), 0
    # Leaving by an error aborts the upload, with its parts.
    with create_transfer_manager(client, config) as transfers:
        sent = transfers.upload(file, bucket, key, subscribers=[moved])
        while not sent.done():
            time.sleep(LOOK_SECONDS)
            has_moved = moved.bytes != seen  # time that passes is no life
            seen = moved.bytes
            look(has_moved)
        sent.result()
    found = client.head_object(Bucket=bucket, Key=key)["ContentLength"]
    if found != size:
        raise OSError(f"{found} bytes of {size} were stored")
