"""The whole of it, with real parts: PostgreSQL, web, both clusters, an S3 server, an SMTP server and a receiver of webhooks."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from django.conf import settings
from django.db import connection
from django_q.tasks import async_task

from exports.models import Delivery, ExportFile, Firing
from taskexport import processes
from tasks.models import Organization, User
from tests import delivering, making, s3, smtp
from tests.fixtures import PASSWORD
from tests.test_webhooks import is_ours

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
ROWS = 500
WAIT_SECONDS = 60


class Api:
    """An integrator's program: plain HTTP, JSON in and out."""

    def __init__(self, url: str, user: User) -> None:
        self.url, self.token = url, ""
        self.token = self("POST", "/api/token", {"email": user.email, "password": PASSWORD})[1]["access"]

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, answer = self.fetch(method, self.url + path, None if body is None else json.dumps(body).encode())
        return status, json.loads(answer or b"null")

    def fetch(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=WAIT_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


def wait_for(found: Callable[[], Any]) -> Any:
    """What is found at last; fails where nothing is."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited for {WAIT_SECONDS} seconds; deliveries: {list(Delivery.objects.values('kind', 'state', 'error'))}")


def tick() -> None:
    """The next minute comes at once: the control cluster ticks."""
    async_task("exports.worker.tick", cluster="control", save=False)


def test_a_schedule_fires_exports_arrives_expires_and_is_made_again(
    process_env: dict[str, str], admin: User, viewer: User, acme: Organization, tmp_path: Path
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the real parts stand on PostgreSQL")
    making.make_tasks(acme, ROWS)
    port = processes.free_port()
    with s3.running() as store, smtp.running() as mails, delivering.receiving() as receiver:
        env = {
            **process_env,
            **store,
            "VAR": str(tmp_path / "var"),
            "SITE_URL": f"http://{processes.HOST}:{port}",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mails.port),
            "EMAIL_USE_TLS": "0",
            "OUTBOUND_ALLOWED_NETS": "127.0.0.0/8",
            "SECRET_KEY": settings.SECRET_KEY,
        }
        with processes.service(port, env, Path(settings.VAR) / "log") as service:
            api = Api(service.url, admin)
            # What an admin sets up.
            status, made = api("POST", "/api/v1/webhooks", {"name": "ERP", "url": f"{receiver.url}/exports"})
            secret = made["secret"]
            assert status == 201
            place = {"endpoint": store["S3_ENDPOINT_URL"], "bucket": s3.BUCKET, "prefix": "theirs", "access_key_id": s3.KEY_ID}
            status, made = api("POST", "/api/v1/destinations", {"name": "Lake", **place, "secret_access_key": s3.SECRET})
            assert status == 201
            destination = made["destination"]["id"]
            assert api("POST", f"/api/v1/destinations/{destination}/test") == (200, {"ok": True, "message": ""})
            status, task = api(
                "POST",
                "/api/services/tasks",
                {
                    "desc": "Every night",
                    "trigger": {"once": (datetime.now(UTC) - timedelta(seconds=5)).isoformat(), "repeat": "daily", "timezone": "Europe/Amsterdam"},
                    "target": {"action": "export", "export_index": "tasks", "export_format": "csv"},
                    "delivery": {"recipients": [viewer.email], "attach_small": True, "destination": destination},
                },
            )
            assert status == 201

            # It fires, exports, and arrives everywhere.
            tick()
            wait_for(lambda: Delivery.objects.filter(state="sent").count() == 4)
            assert set(Delivery.objects.values_list("state", "attempts")) == {("sent", 1)}
            ((path, headers, body),) = receiver.calls
            assert (path, is_ours(secret, headers, body)) == ("/exports", True)
            told = json.loads(body)["data"]
            assert (told["schedule_id"], told["status"], told["rows"]) == (task["id"], "done", ROWS)
            status, file = api.fetch("GET", told["download_url"])
            assert (status, len(file), hashlib.sha256(file).hexdigest()) == (200, told["bytes"], told["sha256"])
            assert len(list(csv.DictReader(io.StringIO(file.decode())))) == ROWS
            assert sorted(mail["To"] for mail in mails.mails) == [admin.email, viewer.email]
            for mail in mails.mails:
                (attached,) = mail.iter_attachments()
                assert attached.get_payload(decode=True) == file
                assert f"Rows: {ROWS}" in mail.get_body(["plain"]).get_content()
            theirs = boto3.client(
                "s3",
                endpoint_url=store["S3_ENDPOINT_URL"],
                region_name="us-east-1",
                aws_access_key_id=s3.KEY_ID,
                aws_secret_access_key=s3.SECRET,
            )
            kept = [one["Key"] for one in theirs.list_objects_v2(Bucket=s3.BUCKET, Prefix="theirs/")["Contents"]]
            copied = {key.endswith(".receipt.json"): theirs.get_object(Bucket=s3.BUCKET, Key=key)["Body"].read() for key in kept}
            assert copied[False] == file
            assert json.loads(copied[True])["receipt"]["sha256"] == told["sha256"]
            tick()
            wait_for(lambda: Firing.objects.filter(outcome="done").exists())
            shown = api("GET", f"/api/services/tasks/{task['id']}")[1]
            assert (shown["state"]["code"], shown["state"]["last_outcome"], bool(shown["result"])) == ("READY", "done", True)

            # It goes away in time, says so, and is made again, equal.
            stored = ExportFile.objects.get()
            ExportFile.objects.update(expires_at=datetime.now(UTC) - timedelta(hours=1))
            gone = api("GET", told["download_url"].removeprefix(service.url))
            assert (gone[0], gone[1]["error_code"]) == (410, "file_expired")
            assert "again" in gone[1]["message"]
            tick()
            wait_for(lambda: ExportFile.objects.filter(deleted_at__isnull=False).exists())
            wait_for(lambda: not theirs.list_objects_v2(Bucket=s3.BUCKET, Prefix=stored.key).get("Contents"))
            status, again = api("POST", f"/api/v1/export-jobs/{told['job_id']}/again")
            assert status == 201
            path = f"/api/v1/export-jobs/{again['job']['id']}"
            assert api("POST", f"{path}/start")[0] == 200
            wait_for(lambda: api("GET", path)[1]["job"]["status"] == "done")
            assert api.fetch("GET", f"{service.url}{path}/download") == (200, file)
            wait_for(lambda: len(receiver.calls) == 2)
            _, headers, body = receiver.calls[1]
            assert is_ours(secret, headers, body)
            told_again = json.loads(body)["data"]
            assert (told_again["job_id"], told_again["sha256"]) == (again["job"]["id"], told["sha256"])
            assert len(mails.mails) == 2  # a job that a person made tells that person nothing
