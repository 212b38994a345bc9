"""The command-line client against a real service: exit codes, sessions, a cut connection, a tampered byte."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from exports.models import ExportFile, ExportJob
from taskexport import processes
from tasks import access, demo
from tasks.models import Organization, Role, Session, Task, User
from tests.api import make_job, publish, rows
from tests.fixtures import PASSWORD

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).resolve().parent.parent
COMMAND_SECONDS = 60
TASKS = 300


class Cli:
    """Runs the client as a script would: without site-packages, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        # -S: no installed package, and so no Django, can be imported.
        command = [sys.executable, "-S", "-m", "taskexport.cli", *arguments]
        surroundings = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(self.home), "PYTHONPATH": str(ROOT), **env}
        return subprocess.run(command, cwd=self.home, env=surroundings, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    home = tmp_path / "home"
    home.mkdir()
    return Cli(home)


@contextlib.contextmanager
def proxy(port: int, change: Callable[[int, bytes], bytes | None]) -> Iterator[str]:
    """A TCP proxy; `change` gets (connection's number, bytes from the service) and returns what to send on, None to cut the connection."""
    with socket.create_server((processes.HOST, 0)) as listener:
        over = threading.Event()

        def pump(source: socket.socket, target: socket.socket, turn: Callable[[bytes], bytes | None]) -> None:
            with contextlib.suppress(OSError):
                while block := source.recv(1 << 16):
                    sent = turn(block)
                    if sent is None:
                        break
                    target.sendall(sent)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            number = 0
            while not over.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                number += 1
                server = socket.create_connection((processes.HOST, port))
                threading.Thread(target=pump, args=(client, server, lambda block: block), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, lambda block, n=number: change(n, block)), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://{processes.HOST}:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def cutting(after: int, times: int) -> Callable[[int, bytes], bytes | None]:
    """Cuts the first `times` downloads after so many of their bytes."""
    seen: dict[int, int] = {}

    def change(number: int, block: bytes) -> bytes | None:
        if number not in seen and b"Content-Disposition" not in block:
            return block
        if number not in seen and len(seen) >= times:
            return block
        if number not in seen and len(seen) > 2:  # enough is enough: from now on not a byte
            seen[number] = after
            return block.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        seen[number] = seen.get(number, 0) + len(block)
        return None if seen[number] > after else block

    return change


@pytest.fixture
def served(process_env: dict[str, str], tmp_path: Path) -> Iterator[processes.Service]:
    # The same VAR: what a test publishes, the service serves.
    with processes.service(processes.free_port(), {**process_env, "THROTTLE_LOGIN": "1000/min"}, Path(settings.VAR) / "log") as service:
        yield service


def test_an_export_from_login_to_file_also_through_a_connection_that_is_cut(
    cli: Cli, served: processes.Service, acme: Organization, editor: User, viewer: User, outsider: User, tmp_path: Path
) -> None:
    demo.make_tasks(acme, TASKS, 1)
    url, port = served.url, int(served.url.rpartition(":")[2])

    # Sign-in.
    assert cli("list").returncode == 3
    wrong = cli("login", "--url", url, "--email", editor.email, stdin="wrong\n")
    assert (wrong.returncode, wrong.stdout) == (3, "")
    assert not list(cli.home.rglob("session.json"))
    done = cli("login", "--url", url, "--email", editor.email, stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    (kept,) = cli.home.rglob("session.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in kept.read_text()
    assert cli("list", "--url", "http://127.0.0.1:9").returncode == 3  # its tokens go nowhere else

    # From nothing to a checked file.
    target = tmp_path / "tasks.zip"
    done = cli("create", "--org", str(acme.uuid), "--name", "By CLI", "--wait", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(target)
    assert f"done: {TASKS} of {TASKS} rows" in done.stderr
    assert len(rows(target.read_bytes())) == TASKS
    job = ExportJob.objects.get()
    assert (job.name, job.created_by, job.file.sha256) == ("By CLI", editor, hashlib.sha256(target.read_bytes()).hexdigest())

    # What else a create takes, and the other commands.
    many = [
        "--format",
        "ndjson",
        "--option",
        "archive=gz",
        "--columns",
        "id,title",
        "--sort=-id",
        "--filter",
        '{"column": "id", "op": "gt", "value": 1}',
    ]
    more = ["--from", "2020-01-01", "--to", "2031-01-01T00:00:00Z", "--timezone", "Europe/Amsterdam", "--date-format", "dmy", "--org-name", "A"]
    made = cli("create", "--org", str(acme.pk), *many, *more, "--no-start", "--json")
    assert made.returncode == 0, made.stderr
    made_job = json.loads(made.stdout)
    assert (made_job["status"], made_job["type"], made_job["format"], made_job["org_name"]) == ("new", "custom", "ndjson", "A")
    cancelled = cli("cancel", made_job["id"])
    assert (cancelled.returncode, cancelled.stdout) == (0, f"{made_job['id']}: cancelled\n")
    assert cli("cancel", made_job["id"]).returncode == 4
    assert cli("download", made_job["id"]).returncode == 6
    listed = json.loads(cli("list", "--json", "--limit", "1").stdout)
    assert [one["id"] for one in listed] == [made_job["id"]]
    assert cli("list", "--status", "done").stdout.startswith(str(job.pk))
    assert f"sha256: {job.file.sha256}" in cli("show", str(job.pk)).stdout
    assert cli("show", "../../token").returncode == 5
    refused = cli("create", "--org", str(acme.pk), "--type", "nope", "--json")
    assert (refused.returncode, json.loads(refused.stderr)["field_errors"][0]["field"]) == (4, "type")
    assert cli("create", "--org", "0", "--name", "x").returncode == 5
    org = ["create", "--org", "1"]
    for usage in (["create"], [*org, "--filter", "{"], [*org, "--option", "x"], ["nope"], ["list", "--limit", "0"]):
        assert cli(*usage).returncode == 2, usage
    ExportJob.objects.filter(pk=made_job["id"]).update(error="")

    # A large file through a connection that is cut half way, twice.
    data = os.urandom(3_000_000)
    large = make_job(acme, editor)
    publish(large, data)
    ExportJob.objects.filter(pk=large.pk).update(status="done")
    token, secret = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    service_env = {"TASKEXPORT_TOKEN": secret}
    target = tmp_path / "large.bin"
    with proxy(port, cutting(1_000_000, 2)) as through:
        done = cli("download", str(large.pk), "-o", str(target), TASKEXPORT_URL=through, **service_env)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == data
    assert not target.with_name("large.bin.part").exists()
    assert ExportFile.objects.get(job=large).downloads.filter(user=token.user).count() == 3

    # One that is cut for good leaves FILE.part, and the next run goes on from there.
    with proxy(port, cutting(500_000, 100)) as through:
        done = cli("download", str(large.pk), "-o", str(tmp_path / "cut.bin"), TASKEXPORT_URL=through, **service_env)
    assert done.returncode == 7, done.stderr
    part = tmp_path / "cut.bin.part"
    assert 0 < part.stat().st_size < len(data)
    assert part.read_bytes() == data[: part.stat().st_size]
    assert not (tmp_path / "cut.bin").exists()
    done = cli("download", str(large.pk), "-o", str(tmp_path / "cut.bin"), "--url", url, **service_env)
    assert (done.returncode, (tmp_path / "cut.bin").read_bytes() == data, part.exists()) == (0, True, False)
    assert ExportFile.objects.get(job=large).downloads.order_by("-pk")[0].user == token.user

    # A byte that was changed on the way is refused, and FILE stays as it was.
    def tamper(number: int, block: bytes) -> bytes:
        return block if len(block) < 10_000 else block[:50] + bytes([block[50] ^ 1]) + block[51:]

    target.write_bytes(b"before")
    with proxy(port, tamper) as through:
        done = cli("download", str(large.pk), "-o", str(target), TASKEXPORT_URL=through, **service_env)
    assert done.returncode == 8, done.stderr
    assert target.read_bytes() == b"before"
    assert not target.with_name("large.bin.part").exists()
    # One that was changed on the disk is mended.
    target.with_name("large.bin.part").write_bytes(b"x" + data[1:1_000_000])
    assert cli("download", str(large.pk), "-o", str(tmp_path / "large.bin"), "--url", url, **service_env).returncode == 0
    assert target.read_bytes() == data

    # Rights, and a service that is not there.
    assert cli("create", "--org", str(acme.pk), TASKEXPORT_URL=url, **service_env).returncode == 4
    assert cli("show", str(large.pk), TASKEXPORT_URL=url, TASKEXPORT_TOKEN="1:x").returncode == 3
    gone = cli("cancel", str(large.pk), TASKEXPORT_URL="http://127.0.0.1:9", **service_env)
    assert (gone.returncode, gone.stdout) == (7, "")

    # An access token that has ended is renewed, by one of many at once; a refresh token is never spent twice.
    session = json.loads(kept.read_text())
    kept.write_text(json.dumps(session | {"access": "over"}))
    with ThreadPoolExecutor(4) as pool:
        codes = [done.returncode for done in pool.map(lambda _: cli("list"), range(4))]
    assert codes == [0, 0, 0, 0]
    renewed = json.loads(kept.read_text())
    assert renewed["refresh"] != session["refresh"]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert cli("logout").returncode == 0
    assert Session.objects.get().revoked_at
    assert cli("list").returncode == 3
    assert Task.objects.filter(organization=acme).count() == TASKS


@contextlib.contextmanager
def fake(answer: Callable[[str], tuple[int, Any]]) -> Iterator[str]:
    """A service whose answers to GET are told by their path."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *unused: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer((processes.HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{processes.HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(5)


def test_what_cannot_be_written_sent_or_asked_ends_with_a_sentence(cli: Cli, tmp_path: Path) -> None:
    def service(path: str) -> tuple[int, Any]:
        if path.endswith("/download"):
            return 410, {"message": "The file has expired."}
        if "?" in path:
            return 200, {"jobs": []}
        return 200, {"job": {"id": "j", "status": "done", "file": {"name": "x.zip", "size": 1, "sha256": ""}}}

    token = {"TASKEXPORT_TOKEN": "1:x"}
    nowhere = {"XDG_CONFIG_HOME": os.devnull + "/x"}
    with fake(service) as url:
        here = {"TASKEXPORT_URL": url, **token}
        expired = cli("download", "j", "-o", str(tmp_path / "x.zip"), **here)
        assert (expired.returncode, expired.stderr) == (4, "The file has expired.\n")
        assert not list(tmp_path.glob("x.zip*"))  # not even an empty FILE.part
        calls = [
            (cli("download", "j", "-o", os.devnull + "/x.zip", **here), "cannot be written"),
            (cli("create", "--org", "1", "--config-id", "100001", "-o", str(tmp_path / "no" / "x.zip"), **here), "no folder that can be written"),
            (cli("create", "--org", "1", "--idempotency-key", "日", **here), "cannot be sent"),
            (cli("list", TASKEXPORT_URL=url, TASKEXPORT_TOKEN="1:x\ny"), "cannot be sent"),
            (cli("login", "--url", url, stdin=""), "nobody answers"),
            (cli("logout", **nowhere), "cannot be written"),
            *((cli("list", TASKEXPORT_URL=wrong, **token), "TASKEXPORT_URL: write an address") for wrong in ("exports.example.com", "file:///etc")),
            *((cli("list", "--url", wrong, **token), "--url: write an address") for wrong in ("http://[::1", "http://h:x", "http://h/?a=b")),
        ]
        for done, sentence in calls:
            assert (done.returncode, sentence in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-S", "-m", "taskexport.cli", "list"]
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, **here}, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (2, "The output cannot be written: No space left on device\n")


def test_the_exit_codes_are_documented() -> None:
    from taskexport.cli.failing import Exit

    text = (ROOT / "docs" / "cli.md").read_text()
    assert [code for code in Exit if f"| {int(code)} |" not in text] == []


def test_it_prints_no_control_characters_of_others() -> None:
    from taskexport.cli.commands import _clean

    value: Any = "a\x1b[2Jb\n"
    assert _clean(value) == "a�[2Jb�"


def test_the_guides_commands_run(process_env: dict[str, str], admin: User, acme: Organization, tmp_path: Path) -> None:
    demo.make_tasks(acme, 50, 1)
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "cli.md").read_text(), re.DOTALL)
    port = processes.free_port()
    known = f"URL=http://{processes.HOST}:{port}\nEMAIL={admin.email}\nPASSWORD='{PASSWORD}'\nORG={acme.uuid}\n"
    (tmp_path / "taskexport").mkdir()  # copied as the guide says
    (tmp_path / "taskexport" / "__init__.py").touch()
    shutil.copytree(ROOT / "taskexport" / "cli", tmp_path / "taskexport" / "cli")
    env = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path / "config")}
    with processes.service(port, {**process_env, "VAR": str(tmp_path / "var")}, Path(settings.VAR) / "log"):
        done = subprocess.run(["sh", "-eu", "-c", known + block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert done.returncode == 0, done.stderr
    assert len(rows((tmp_path / "january.zip").read_bytes())) == 50
    assert (tmp_path / "january.xlsx").read_bytes().startswith(b"PK")
    assert [job["format"] for job in json.loads((tmp_path / "jobs.json").read_text())] == ["xlsx", "csv"]
    assert "cancelled" in done.stdout
