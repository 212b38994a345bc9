"""Zips that every program opens, and what happens past their 4 GiB."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exports.formats.archive import TooLarge, zip_members

AT = datetime(2024, 1, 1, tzinfo=UTC)
CHUNK = bytes(2**26)


def test_a_zip_is_of_the_kind_that_every_program_opens(tmp_path: Path) -> None:
    path = tmp_path / "small.zip"
    path.write_bytes(b"".join(zip_members([("a.csv", [b"x,y\n", b"1,2\n"]), ("b.csv", [])], AT, large=False)))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("a.csv") == b"x,y\n1,2\n"
        assert archive.read("b.csv") == b""
        # 2.0 needs no ZIP64, which LibreOffice refuses in a stream
        assert {member.extract_version for member in archive.infolist()} == {20}
        assert all(member.extra[:2] != b"\x01\x00" for member in archive.infolist())


@pytest.mark.long
def test_past_4_gib_it_must_be_said_to_be_large(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        for _ in zip_members([("big", (CHUNK for _ in range(65)))], AT, large=False):
            pass
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.writelines(zip_members([("big", (CHUNK for _ in range(65)))], AT, large=True))
    with zipfile.ZipFile(path) as archive:
        assert archive.infolist()[0].file_size == 65 * len(CHUNK)
        assert archive.testzip() is None
