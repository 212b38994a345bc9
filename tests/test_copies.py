"""Copies of files to an organization's own bucket, on a real S3 server: whole or not at all, under the same key at each try."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import Config
from django.db.models import Q
from rest_framework.test import APIClient

from exports import worker
from exports.models import Delivery, Destination, ExportFile, ExportJob, ExportSchedule
from exports.services import receipts
from exports.services.deliveries import copies, destinations, links, outbox, stores
from exports.services.schedules import firing
from exports.storage import parts
from taskexport import seats
from taskexport.errors import Conflict, Forbidden, Invalid, TooMany
from tasks.models import Organization, User
from tests import delivering, making, s3, scheduling
from tests.delivering import later

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
ClientOf = Callable[[User], APIClient]
DESTINATIONS = "/api/v1/destinations"


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3.running() as found:
        yield found


@pytest.fixture
def theirs(server: dict[str, str], settings: Any) -> Any:
    """The bucket as its owner sees it."""
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    keys = {"aws_access_key_id": s3.KEY_ID, "aws_secret_access_key": s3.SECRET}
    config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
    return boto3.client("s3", endpoint_url=server["S3_ENDPOINT_URL"], region_name="us-east-1", config=config, **keys)


def values(server: dict[str, str], **changes: Any) -> dict[str, Any]:
    place = {"endpoint": server["S3_ENDPOINT_URL"], "bucket": s3.BUCKET, "prefix": "lake/tasks"}
    return {"name": "Lake", **place, "access_key_id": s3.KEY_ID, "secret_access_key": s3.SECRET, **changes}


def keys(client: Any) -> list[str]:
    return [one["Key"] for one in client.list_objects_v2(Bucket=s3.BUCKET).get("Contents", [])]


def fire(user: User, organization: Organization, destination: Destination) -> tuple[ExportSchedule, ExportJob]:
    """A schedule that copies there, and the job of its run."""
    schedule = scheduling.make_schedule(user, organization)
    links.change(user, schedule, {"destination": destination.pk})
    run = firing.execute(user, schedule)
    worker.run_next()
    assert run.job
    return schedule, ExportJob.objects.get(pk=run.job.pk)


def test_a_schedules_file_is_copied_with_its_receipt_and_once(
    theirs: Any, server: dict[str, str], admin: User, acme: Organization, tmp_path: Path
) -> None:
    making.make_tasks(acme, 5)
    destination = destinations.create(admin, acme, values(server))
    assert s3.SECRET not in str(Destination.objects.values().get())
    _, job = fire(admin, acme, destination)
    assert (worker.deliver(), worker.deliver()) == (1, 0)
    key = f"lake/tasks/{job.created_at:%Y/%m/%d}/{job.pk}/{job.file.name}"
    assert sorted(keys(theirs)) == [key, f"{key}.receipt.json"]
    path = tmp_path / job.file.name
    path.write_bytes(theirs.get_object(Bucket=s3.BUCKET, Key=key)["Body"].read())
    signed = json.loads(theirs.get_object(Bucket=s3.BUCKET, Key=f"{key}.receipt.json")["Body"].read())
    assert receipts.verify(path, signed, receipts.public_key()) == []
    assert Delivery.objects.get().state == "sent"
    # A process that died before it said so copies to the same key again.
    Delivery.objects.update(state="pending", attempts=0)
    later()
    assert worker.deliver() == 1
    assert len(keys(theirs)) == 2
    with pytest.raises(Conflict, match="nightly"):
        destinations.delete(admin, destination)


def test_a_large_file_goes_in_parts_and_one_that_breaks_leaves_nothing(
    theirs: Any, server: dict[str, str], admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    destination = destinations.create(admin, acme, values(server, prefix="large"))
    _, job = fire(admin, acme, destination)
    large = os.urandom(1024) * (20 * 1024)  # three parts
    from django.conf import settings

    (settings.FILES_ROOT / job.file.key).chmod(0o600)
    ExportFile.objects.update(size=len(large))
    (settings.FILES_ROOT / job.file.key).write_bytes(large[1:])
    assert worker.deliver() == 0
    assert Delivery.objects.get().error == "our own storage did not give the whole file"
    (settings.FILES_ROOT / job.file.key).write_bytes(large)
    later()
    monkeypatch.setattr(copies, "COPY_SECONDS", -1)
    assert worker.deliver() == 0
    assert Delivery.objects.get().error == "the copy took too long"
    assert [key for key in keys(theirs) if key.startswith("large")] == []
    assert theirs.list_multipart_uploads(Bucket=s3.BUCKET).get("Uploads", []) == []
    assert ExportJob.objects.get().status == "done"
    monkeypatch.undo()
    later()
    assert worker.deliver() == 1
    (key, _) = [key for key in keys(theirs) if key.startswith("large")]
    stored = theirs.head_object(Bucket=s3.BUCKET, Key=key)
    assert (stored["ContentLength"], stored["ETag"].strip('"').partition("-")[2]) == (len(large), "3")
    assert s3.SECRET not in caplog.text
    assert s3.KEY_ID not in caplog.text


def test_an_expired_file_is_not_copied(theirs: Any, server: dict[str, str], admin: User, acme: Organization) -> None:
    destination = destinations.create(admin, acme, values(server, prefix="late"))
    fire(admin, acme, destination)
    ExportFile.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert worker.deliver() == 0
    assert (Delivery.objects.get().state, Delivery.objects.get().error) == ("dead", "the file has expired or was deleted")


def test_the_test_says_in_words_what_is_wrong(theirs: Any, server: dict[str, str], client_of: ClientOf, admin: User, acme: Organization) -> None:
    client = client_of(admin)
    made = client.post(DESTINATIONS, values(server)).json()["destination"]
    path = f"{DESTINATIONS}/{made['id']}"
    before = keys(theirs)
    assert client.post(f"{path}/test").json() == {"ok": True, "message": ""}
    assert keys(theirs) == before
    read = client.get(path)
    assert read.json()["destination"]["tested_at"]
    assert s3.SECRET not in read.content.decode()
    for change, said in (
        ({"secret_access_key": "wrong"}, "The secret access key is not the right one."),
        ({"secret_access_key": s3.SECRET, "access_key_id": "nobody"}, "The store does not know the access key id."),
        ({"access_key_id": s3.KEY_ID, "endpoint": "http://127.0.0.1:9"}, "The connection was refused."),
    ):
        changed = client.patch(path, {"secret_access_key": s3.SECRET, **change})
        assert (changed.status_code, changed.json()["destination"]["tested_at"]) == (200, None)
        assert client.post(f"{path}/test").json() == {"ok": False, "message": said}
    Destination.objects.update(endpoint="https://169.254.169.254")
    assert client.post(f"{path}/test").json()["message"] == "The address is not a public one."


def test_a_store_that_hangs_redirects_or_drips_reaches_nothing_and_has_its_time(
    settings: Any, admin: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    monkeypatch.setattr(stores, "READ_SECONDS", 1)
    monkeypatch.setattr(copies, "TEST_SECONDS", 1.0)
    with delivering.receiving() as store:
        place = {"name": "n", "endpoint": store.url, "bucket": "bucket", "access_key_id": "a", "secret_access_key": "b"}
        destination = destinations.create(admin, acme, place)
        store.status = 404
        assert destinations.test(admin, destination) == "There is no such bucket."
        store.status, store.headers = 307, {"Location": "http://169.254.169.254/bucket"}
        assert destinations.test(admin, destination)
        store.status, store.drips = 200, 1000
        assert destinations.test(admin, destination)
        store.hangs = 30
        assert "time" in destinations.test(admin, destination)
        with ExitStack() as others:
            for _ in range(seats.MOST):
                others.enter_context(seats.taken())
            with pytest.raises(TooMany):
                destinations.test(admin, destination)
    settings.OUTBOUND_ALLOWED_NETS = []
    assert destinations.test(admin, destination) == "The address is not a public one."


def test_wrong_destinations_are_400_with_their_fields(
    server: dict[str, str], client_of: ClientOf, admin: User, acme: Organization, settings: Any
) -> None:
    client = client_of(admin)
    good = values(server, endpoint="")
    for change, field in (
        ({"endpoint": "http://store.example.com"}, "endpoint"),
        ({"endpoint": "https://10.0.0.1"}, "endpoint"),
        ({"endpoint": "https://store.example.com/bucket"}, "endpoint"),
        ({"bucket": "UPPER"}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"region": "x.evil.example/"}, "region"),
        ({"prefix": "a/../b"}, "prefix"),
        ({"prefix": "a//b"}, "prefix"),
        ({"access_key_id": ""}, "access_key_id"),
        ({"secret_access_key": "with space"}, "secret_access_key"),
        ({"role": "x"}, "role"),
    ):
        refused = client.post(DESTINATIONS, good | change)
        assert (refused.status_code, refused.json()["field_errors"][0]["field"]) == (400, field), change
    assert not Destination.objects.exists()
    path = f"{DESTINATIONS}/{client.post(DESTINATIONS, good).json()['destination']['id']}"
    moved = client.patch(path, {"bucket": "another"})
    assert (moved.status_code, moved.json()["field_errors"][0]["field"]) == (400, "secret_access_key")
    assert client.post(DESTINATIONS, good).status_code == 409
    assert client.delete(path).status_code == 204


def test_only_admins_keep_destinations_and_only_of_their_own(
    server: dict[str, str], admin: User, editor: User, outsider: User, acme: Organization, globex: Organization
) -> None:
    with pytest.raises(Forbidden):
        destinations.create(editor, acme, values(server, endpoint=""))
    foreign = destinations.create(outsider, globex, values(server, endpoint=""))
    schedule = scheduling.make_schedule(admin, acme)
    with pytest.raises(Invalid):
        links.change(admin, schedule, {"destination": foreign.pk})
    with pytest.raises(Forbidden):
        links.change(editor, schedule, {"destination": None})
    schedule.refresh_from_db()
    assert (schedule.destination, schedule.version) == (None, 1)


def test_a_key_that_was_changed_is_said_and_tried_again(theirs: Any, server: dict[str, str], admin: User, acme: Organization, settings: Any) -> None:
    old, new = os.urandom(32), os.urandom(32)
    settings.ENCRYPTION_KEYS = [old]
    destination = destinations.create(admin, acme, values(server, prefix="sealed"))
    fire(admin, acme, destination)
    settings.ENCRYPTION_KEYS = [new]
    assert worker.deliver() == 0
    assert Delivery.objects.get().error.startswith("its secret can't be read")
    settings.ENCRYPTION_KEYS = []
    destinations.update(admin, destinations.get(admin, destination.pk), {"secret_access_key": s3.SECRET})
    later()
    assert worker.deliver() == 1
    settings.ENCRYPTION_KEYS = [old]  # the first key that is named: what was sealed without one is opened as before
    assert destinations.test(admin, destinations.get(admin, destination.pk)) == ""
    destinations.update(admin, destinations.get(admin, destination.pk), {"secret_access_key": s3.SECRET})
    settings.ENCRYPTION_KEYS = [new, old]  # a new key before the old one
    assert destinations.test(admin, destinations.get(admin, destination.pk)) == ""


def test_a_copy_that_is_cut_off_is_another_workers(theirs: Any, server: dict[str, str], admin: User, acme: Organization) -> None:
    destination = destinations.create(admin, acme, values(server, prefix="cut"))
    fire(admin, acme, destination)
    claimed = outbox.claim(Q(pk=None))
    assert claimed
    copies.send(claimed)  # and here it dies
    assert worker.deliver() == 0
    later()
    assert worker.deliver() == 1
    assert len([key for key in keys(theirs) if key.startswith("cut")]) == 2
    assert parts.PART_BYTES >= 5 * 1024 * 1024  # the least that S3 takes
