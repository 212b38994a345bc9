"""The service's processes: a web server and two queue clusters, as children in process groups of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

STOP_SECONDS = 15  # a worker puts its job back into the queue within this time
MANAGE = str(Path(__file__).resolve().parent.parent / "manage.py")


def start(command: list[str], env: Mapping[str, str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts the command with this added to the environment; its output goes to the log file, or to ours."""
    # A group of its own: Ctrl-C on the terminal reaches only us, and we stop the children in order.
    surroundings = {**os.environ, **env}
    if log is None:
        return subprocess.Popen(command, env=surroundings, stdin=subprocess.DEVNULL, start_new_session=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(command, env=surroundings, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)


def start_cluster(name: str, env: Mapping[str, str], log: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts the queue cluster of this name, one of settings.Q_CLUSTER's ALT_CLUSTERS."""
    return start([sys.executable, MANAGE, "qcluster"], {**env, "Q_CLUSTER_NAME": name}, log)


def stop(*processes: subprocess.Popen[bytes]) -> None:
    """Asks each to end, then kills what is left of its group; may be called twice."""
    # SIGTERM goes to the main process alone: django-q2's workers die of it in mid-job, their parent stops them in order.
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        _kill_group(process.pid)
        process.wait()


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
