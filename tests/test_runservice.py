"""`manage.py runservice` and the processes below it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from taskexport import processes
from tasks.models import Organization

pytestmark = [pytest.mark.serial, pytest.mark.django_db(transaction=True)]
SECONDS = 60

Run = Callable[[int], contextlib.AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def run(process_env: dict[str, str], acme: Organization) -> Run:
    """Runs `manage.py runservice` on the port inside a `with`."""

    @contextlib.contextmanager
    def run(port: int) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, processes.MANAGE, "runservice", "--port", str(port)]
        env = {**os.environ, **process_env}
        # Whoever runs the tests in the background of a shell has SIGINT ignored, and so would what is started here.
        heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heeding) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait(processes.STOP_SECONDS + 5)

    return run


def answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError), opener.open(f"http://{processes.HOST}:{port}/admin/login/", timeout=SECONDS) as answer:
        return bool(answer.status == 200)
    return False


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith("Ctrl-C"):
            return
    pytest.fail("".join(seen))


def children(process: subprocess.Popen[str]) -> dict[int, str]:
    """Command lines of all processes below this one, by pid."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found: set[int] = set()
    generation = {process.pid}
    while generation := {pid for pid, parent in parents.items() if parent in generation}:
        found |= generation
    return {pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip() for pid in found}


def alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_is_no_failure(run: Run, sent: signal.Signals) -> None:
    port = processes.free_port()
    with run(port) as process:
        wait_until_ready(process)
        assert answers(port)
        below = children(process)
        process.send_signal(sent)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert output.endswith("Stopped.\n")
    assert len(below) >= 4  # the web server with its worker, two clusters
    assert [args for pid, args in below.items() if alive(pid)] == []
    assert processes.is_free(port)


def test_a_cluster_that_ends_stops_everything_and_is_named(run: Run) -> None:
    port = processes.free_port()
    with run(port) as process:
        wait_until_ready(process)
        below = children(process)
        env = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid, args in below.items() if args.endswith("qcluster")}
        os.kill(min(pid for pid in env if b"Q_CLUSTER_NAME=control" in env[pid]), signal.SIGKILL)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "qcluster control has ended with exit code -9; everything else was stopped." in output
    deadline = time.monotonic() + 5
    while (left := [args for pid, args in below.items() if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def test_a_busy_port_is_told_before_anything_starts(run: Run) -> None:
    with socket.create_server((processes.HOST, 0)) as server:
        port = server.getsockname()[1]
        with run(port) as process:
            output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert f"Port {port} is in use" in output
