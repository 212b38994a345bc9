"""`manage.py verify_export` tells the exported file from any other."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from exports import storage, worker
from exports.models import ExportFile
from exports.services import jobs
from tasks.models import Organization, Task, User
from tests.making import make_queued, make_tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def exported(editor: User, acme: Organization, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of an exported file of 12 rows, one of them huge, and its receipt."""
    make_tasks(acme, 11)
    Task.objects.create(organization=acme, title="long", body="x" * 200_000)
    job = make_queued(editor, acme, type="fedex")
    worker.run_next()
    file = jobs.get(editor, job.pk).file
    copy, receipt = tmp_path / file.name, tmp_path / "receipt.json"
    copy.write_bytes((settings.FILES_ROOT / file.key).read_bytes())
    receipt.write_text(json.dumps(file.receipt))
    return copy, receipt


def test_the_exported_file_is_recognized(exported: tuple[Path, Path]) -> None:
    said = StringIO()
    call_command("verify_export", *map(str, exported), stdout=said)
    assert "12 rows" in said.getvalue()


def test_the_receipt_lies_beside_the_stored_file_and_goes_with_it(exported: tuple[Path, Path], client: Client) -> None:
    file = ExportFile.objects.get()
    stored = settings.FILES_ROOT / file.key
    sidecar = stored.with_name(stored.name + ".receipt.json")
    assert sorted(stored.parent.iterdir()) == [stored, sidecar]
    assert json.loads(sidecar.read_bytes()) == file.receipt
    assert sidecar.stat().st_mode & 0o777 == 0o600
    call_command("verify_export", str(stored), str(sidecar), stdout=StringIO())
    for key in (file.key, file.key + storage.RECEIPT):  # nothing is served by its key
        assert {client.get(f"/{place}{key}").status_code for place in ("", "d/", "files/", "media/", "static/")} <= {403, 404}
    storage.delete(file.key)
    storage.delete(file.key)
    assert not stored.parent.exists()


def test_one_changed_byte_is_noticed(exported: tuple[Path, Path]) -> None:
    file, receipt = exported
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(CommandError, match="SHA-256"):
        call_command("verify_export", str(file), str(receipt))


def test_a_cut_file_is_noticed(exported: tuple[Path, Path]) -> None:
    file, receipt = exported
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CommandError, match="bytes, the receipt says"):
        call_command("verify_export", str(file), str(receipt))


def test_a_changed_receipt_and_a_strange_key_are_noticed(exported: tuple[Path, Path]) -> None:
    file, receipt = exported
    signed = json.loads(receipt.read_text())
    signed["receipt"]["rows_written"] = 11
    receipt.write_text(json.dumps(signed))
    with pytest.raises(CommandError, match="signature does not fit"):
        call_command("verify_export", str(file), str(receipt))
    with pytest.raises(CommandError, match="unreadable"):
        call_command("verify_export", str(file), str(receipt), "--key", "AAAA")


def test_what_is_not_there_or_no_json_is_said(exported: tuple[Path, Path], tmp_path: Path) -> None:
    file, receipt = exported
    with pytest.raises(CommandError, match="No such file"):
        call_command("verify_export", str(tmp_path / "absent"), str(receipt))
    with pytest.raises(CommandError, match="no JSON"):
        call_command("verify_export", str(file), str(file))
