"""The service's processes: a web server and two queue clusters, as children in process groups of their own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANAGE = str(ROOT / "manage.py")
HOST = "127.0.0.1"
CLUSTERS = ("exports", "control")  # settings.Q_CLUSTER's ALT_CLUSTERS
START_SECONDS = 60
STOP_SECONDS = 15  # enough for a worker to put its job back into the queue
FINISH_SECONDS = 10  # of these, a request or a job that is nearly done may still end


class Ended(Exception):
    """A process that should still run has ended; the message says which."""


@dataclass(frozen=True)
class Service:
    """A running service: where it answers, and its processes by name."""

    url: str
    children: dict[str, subprocess.Popen[bytes]]

    def check(self) -> None:
        """Raises Ended where a process no longer runs."""
        for name, process in self.children.items():
            if process.poll() is not None:
                raise Ended(f"{name} has ended with exit code {process.returncode}")

    def wait(self) -> None:
        """Returns never. Raises Ended as soon as a process no longer runs."""
        while True:
            self.check()
            time.sleep(0.5)


@contextlib.contextmanager
def service(port: int, env: Mapping[str, str], log_dir: Path | None = None, *, clusters: Sequence[str] = CLUSTERS) -> Iterator[Service]:
    """A web server that answers and its clusters, stopped at the end; their output goes to files in log_dir, or to ours. Raises Ended."""
    url = f"http://{HOST}:{port}"
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        children["web"] = start(_web_command(port), env, log_dir and log_dir / "web.log")
        for name in clusters:
            children[f"qcluster {name}"] = start_cluster(name, env, log_dir)
        running = Service(url, children)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            running.check()
            if time.monotonic() > deadline:
                raise Ended(f"web does not answer at {url} after {START_SECONDS} seconds")
            time.sleep(0.1)
        yield running
    finally:
        stop(*children.values())


def _web_command(port: int) -> list[str]:
    options = ["--bind", f"{HOST}:{port}", "--chdir", str(ROOT), "--worker-class", "gthread", "--workers", "1", "--threads", "8"]
    # Requests end before we would kill; the control socket is a file in the home folder, and a service may have none.
    options += ["--graceful-timeout", str(FINISH_SECONDS - 1), "--no-control-socket"]
    return [sys.executable, "-m", "gunicorn", *options, "taskexport.wsgi"]


def _answers(port: int) -> bool:
    # Any answer counts: the socket alone is open before Django has loaded.
    connection = http.client.HTTPConnection(HOST, port, timeout=START_SECONDS)
    try:
        connection.request("GET", "/livez")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def start_cluster(name: str, env: Mapping[str, str], log_dir: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts the queue cluster of this name; its log is qcluster-NAME.log."""
    return start([sys.executable, MANAGE, "qcluster"], {**env, "Q_CLUSTER_NAME": name}, log_dir and log_dir / f"qcluster-{name}.log")


def start(command: list[str], env: Mapping[str, str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts the command with this added to the environment; its output goes to the log file, or to ours."""
    surroundings = {**os.environ, **env}
    # A group of its own: Ctrl-C on the terminal reaches only us, and we stop the children in order.
    if log is None:
        return subprocess.Popen(command, env=surroundings, stdin=subprocess.DEVNULL, start_new_session=True)
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        return subprocess.Popen(command, env=surroundings, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def stop(*processes: subprocess.Popen[bytes]) -> None:
    """Asks each to end, after FINISH_SECONDS what is left of their groups, and kills what is left after STOP_SECONDS together."""
    now = time.monotonic()
    try:
        # SIGTERM goes to the main process alone: django-q2's workers would die of it in mid-job, their parent stops them in order.
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, now + FINISH_SECONDS - time.monotonic()))
        # A worker in mid-job takes a SIGTERM of its own as the word to put the job back; its parent would hang on a second one.
        for process in processes:
            process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        while any(map(_group_lives, processes)) and time.monotonic() < now + STOP_SECONDS:
            time.sleep(0.05)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a process that has ended counts until it is waited for
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def on_sigterm(error: BaseException) -> Iterator[None]:
    """Makes SIGTERM raise this inside the `with`, so that what was started is stopped; outside the main thread it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_it(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGTERM, raise_it)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def is_free(port: int) -> bool:
    """Whether a server may bind the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a connection that lingers is no server
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
