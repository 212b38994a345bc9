"""The receipt of a file: what it holds, counted and hashed, signed with Ed25519 so that anybody can check it years later.

The signature covers the canonical JSON of `receipt`: keys sorted, no spaces, UTF-8.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from exports.formats.reading import LONGEST_CELL
from taskexport.errors import AppError

RECEIPT_VERSION = 1
ANY_ENCODING = "latin-1"  # its bytes are characters: what counts in a CSV is ASCII
BYTE_ORDER_MARK = "\ufeff".encode().decode(ANY_ENCODING)  # before a quote it would hide it
LONGEST_UPLOADED_RECORD = 16 * 1024 * 1024  # a line, or a quote, that never ends must not fill the memory


def _private_key() -> Ed25519PrivateKey:
    seed = settings.RECEIPT_KEY
    if seed is None:
        seed = HKDF(hashes.SHA256(), 32, None, b"taskexport receipts").derive(settings.SECRET_KEY.encode())
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key() -> str:
    """The public key that verifies our receipts: 32 raw bytes in base64."""
    raw = _private_key().public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def _canonical(receipt: dict[str, Any]) -> bytes:
    return json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt with its signature and the key to check it by: `{"receipt", "signature", "public_key", "algorithm"}`."""
    signature = base64.b64encode(_private_key().sign(_canonical(receipt))).decode()
    return {"receipt": receipt, "signature": signature, "public_key": public_key(), "algorithm": "Ed25519"}


def verify(path: Path, signed: dict[str, Any], trusted_key: str | None = None) -> list[str]:
    """What is wrong with this file by its signed receipt, in sentences; empty if nothing is.

    `trusted_key` is the service's public key (`/api/receipt-key`); without it the key inside the receipt is believed.
    """
    try:
        receipt = signed["receipt"]
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(trusted_key or signed["public_key"], validate=True))
        key.verify(base64.b64decode(signed["signature"], validate=True), _canonical(receipt))
    except (KeyError, TypeError, ValueError):
        return ["This is no receipt of ours: receipt, signature or key is missing or unreadable."]
    except InvalidSignature:
        return ["The receipt's signature does not fit: it was changed, or another service signed it."]
    problems = []
    size = path.stat().st_size
    if size != receipt["size"]:
        problems.append(f"The file has {size} bytes, the receipt says {receipt['size']}.")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 != receipt["sha256"]:
        problems.append("The file's SHA-256 is not the receipt's: it is not the file that was exported.")
    return problems or _content_problems(path, receipt)


def _content_problems(path: Path, receipt: dict[str, Any]) -> list[str]:
    """Opens the file as its reader would; reading to the end checks an archive's CRC too."""
    rows = _COUNTERS[receipt["format"]](path, receipt)
    return [] if rows == receipt["rows_written"] else [f"The file has {rows} rows, the receipt says {receipt['rows_written']}."]


def _opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """The streams in the file: the members of a zip, what a gzip holds, or the file itself."""
    if name.endswith((".zip", ".xlsx")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                with archive.open(member) as stream:
                    yield cast(BinaryIO, stream)
    else:
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            yield cast(BinaryIO, file)


def rows_uploaded(stream: BinaryIO, options: dict[str, Any]) -> int:
    """The rows of a CSV that an external runner made, in whatever encoding: records that are not empty, less the header.
    Raises csv.Error for what is no CSV."""
    csv.field_size_limit(LONGEST_CELL)  # the same for everybody in this process; ours is below
    text = io.TextIOWrapper(stream, encoding=ANY_ENCODING, newline="")
    record_length = rows = 0

    def lines() -> Iterator[str]:
        nonlocal record_length
        mark = BYTE_ORDER_MARK
        while line := text.readline(LONGEST_UPLOADED_RECORD):
            line, mark = line.removeprefix(mark), ""
            record_length += len(line)
            if record_length >= LONGEST_UPLOADED_RECORD:
                raise csv.Error("a record is too long")
            yield line

    for record in csv.reader(lines(), delimiter=options["delimiter"]):
        record_length = 0
        rows += bool(record)
    return max(0, rows - options["header"])


def _csv_rows(path: Path, receipt: dict[str, Any]) -> int:
    options = receipt["spec"]["options"]
    if "uploaded" in receipt:
        return sum(rows_uploaded(stream, options) for stream in _opened(path, receipt["file"]))
    csv.field_size_limit(LONGEST_CELL)  # Python's own limit of 131,072 is no limit of ours
    encoding = "utf-8-sig" if options["bom"] else "utf-8"  # as above
    rows = 0
    for stream in _opened(path, receipt["file"]):
        records = csv.reader(io.TextIOWrapper(stream, encoding=encoding, newline=""), delimiter=options["delimiter"])
        rows += sum(len(record) == len(receipt["columns"]) for record in records) - options["header"]
    return rows


def _json_rows(path: Path, receipt: dict[str, Any]) -> int:
    return sum(len(json.load(stream)) for stream in _opened(path, receipt["file"]))


def _ndjson_rows(path: Path, receipt: dict[str, Any]) -> int:
    return sum(1 for stream in _opened(path, receipt["file"]) for _ in stream)


def _xlsx_rows(path: Path, receipt: dict[str, Any]) -> int:
    """The rows of the data sheets; headers, and the rows of other sheets, have numbers and so another beginning."""
    rows = 0
    for stream in _opened(path, receipt["file"]):
        tail = b""
        while piece := stream.read(1 << 20):
            rows += (tail + piece).count(b"<row>")
            tail = piece[-4:]
    return rows


def _parquet_rows(path: Path, receipt: dict[str, Any]) -> int:
    try:
        from pyarrow import parquet  # an extra
    except ImportError:
        raise AppError("Install requirements-parquet.txt to check Parquet files.", code="parquet_missing") from None
    with parquet.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches())


_COUNTERS: dict[str, Callable[[Path, dict[str, Any]], int]] = {
    "csv": _csv_rows,
    "json": _json_rows,
    "ndjson": _ndjson_rows,
    "xlsx": _xlsx_rows,
    "parquet": _parquet_rows,
}
