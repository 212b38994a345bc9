"""Rows as records of id and digest, sorted by id: small enough to keep of every run, and to compare with the next one's in flat memory."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO

ID_BYTES, DIGEST_BYTES = 8, 16  # of 128 bits, two of any row's versions meet once in 2^64 tries
RECORD_BYTES = ID_BYTES + DIGEST_BYTES
BLOCK_BYTES = 8192 * RECORD_BYTES
VERSION = 1  # of how rows are digested: rises when the same row gives another record

_ID = struct.Struct(">Q")  # so that ids and their bytes have one order


def digested(blocks: Iterable[list[bytes]]) -> Iterator[bytes]:
    """A block of records for each block of COPY text, whose last cell is the row's id."""
    pack = _ID.pack
    for block in blocks:
        records = bytearray()
        for line in block:
            cells, _, row_id = line.rpartition(b"\t")
            records += pack(int(row_id))
            records += blake2b(cells, digest_size=DIGEST_BYTES).digest()
        if records:
            yield bytes(records)


def stored(file: BinaryIO) -> Iterator[bytes]:
    """The blocks of records in a file."""
    while records := file.read(BLOCK_BYTES):
        yield records


@dataclass(frozen=True)
class Compared:
    """What became of some rows: their ids as bytes, in order. `gone` are no longer there."""

    added: list[bytes]
    changed: list[bytes]
    gone: list[bytes]


def compared(now: Iterator[bytes], before: Iterator[bytes]) -> Iterator[Compared]:
    """What differs between two rows of blocks of records; a block of each is in memory at once."""
    ours = theirs = b""
    while True:
        ours, theirs = ours or next(now, b""), theirs or next(before, b"")
        if not ours and not theirs:
            return
        # Both are known up to the nearer of their ends.
        until = min(records[-RECORD_BYTES:-DIGEST_BYTES] for records in (ours, theirs) if records)
        mine, ours = _cut(ours, until)
        its, theirs = _cut(theirs, until)
        if mine != its:  # most blocks are as they were
            yield _differences(_by_id(mine), _by_id(its))


def _cut(records: bytes, until: bytes) -> tuple[bytes, bytes]:
    """The records up to this id, and those behind it."""
    places = range(0, len(records), RECORD_BYTES)
    place = bisect_right(places, until, key=lambda start: records[start : start + ID_BYTES]) * RECORD_BYTES
    return records[:place], records[place:]


def _by_id(records: bytes) -> dict[bytes, bytes]:
    return {records[start : start + ID_BYTES]: records[start + ID_BYTES : start + RECORD_BYTES] for start in range(0, len(records), RECORD_BYTES)}


def _differences(now: dict[bytes, bytes], before: dict[bytes, bytes]) -> Compared:
    changed = [row_id for row_id, digest in now.items() if before.get(row_id, digest) != digest]
    return Compared(sorted(now.keys() - before.keys()), sorted(changed), sorted(before.keys() - now.keys()))


class IdList:
    """Ids in a file of their own, in the order in which they come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self.count = 0

    def add(self, ids: list[bytes]) -> None:
        """Appends ids as bytes. Raises OSError."""
        self._waiting += ids
        self.count += len(ids)
        if len(self._waiting) * ID_BYTES >= BLOCK_BYTES:
            self._write()

    def add_numbers(self, ids: Iterable[int]) -> None:
        """Appends ids. Raises OSError."""
        self.add([_ID.pack(row_id) for row_id in ids])

    def _write(self) -> None:
        self._file.write(b"".join(self._waiting))
        self._waiting = []

    def parts(self, most: int) -> Iterator[list[int]]:
        """All ids, at most so many at once."""
        self._write()
        self._file.seek(0)
        while data := self._file.read(most * ID_BYTES):
            yield [row_id for (row_id,) in _ID.iter_unpack(data)]
