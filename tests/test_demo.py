"""What `manage.py demo` accepts as a verified file."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from exports.management.commands.demo import verify


def export(folder: Path, members: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    """A zip of these members and a receipt for it that says two rows."""
    path = folder / "export.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path, receipt_of(path)


def receipt_of(path: Path) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size, "rows": 2}


TWO_ROWS = 'id,title\n1,one\n2,"two\nlines"\n'


def test_a_whole_file_is_verified(tmp_path: Path) -> None:
    assert verify(*export(tmp_path, {"tasks.csv": TWO_ROWS})) == 2


def test_another_file_is_refused(tmp_path: Path) -> None:
    path, receipt = export(tmp_path, {"tasks.csv": TWO_ROWS})
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(ValueError, match="the receipt says"):
        verify(path, receipt)


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path, _ = export(tmp_path, {"tasks.csv": TWO_ROWS})
    path.write_bytes(path.read_bytes().replace(b"1,one", b"1,ono", 1))
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        verify(path, receipt_of(path))


def test_a_missing_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 rows"):
        verify(*export(tmp_path, {"tasks.csv": "id,title\n1,one\n"}))


@pytest.mark.parametrize("members", [{}, {"tasks.txt": TWO_ROWS}, {"a.csv": TWO_ROWS, "b.csv": TWO_ROWS}])
def test_anything_but_one_csv_is_refused(tmp_path: Path, members: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one CSV"):
        verify(*export(tmp_path, members))
