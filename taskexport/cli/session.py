"""Who is signed in, and where: a file of the user's own, or the environment."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from taskexport.cli.failing import Exit, Failure


@dataclass(frozen=True)
class Session:
    """A service's address and what opens it; `refresh` is empty for a service account's token, which stays as it is."""

    url: str
    access: str
    refresh: str = ""
    email: str = ""


def folder() -> Path:
    """Where the session lives: `taskexport` below XDG_CONFIG_HOME, which is `~/.config` unless set."""
    root = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".config") / "taskexport"


def load(url: str | None) -> Session:
    """The session to use, a service token of the environment first. Raises Failure."""
    token = os.environ.get("TASKEXPORT_TOKEN", "").strip()
    url = url or os.environ.get("TASKEXPORT_URL") or None
    kept = read()
    if token:
        url = url or (kept.url if kept else None)
        if url is None:
            raise Failure(Exit.USAGE, "Say where the service is: --url, or TASKEXPORT_URL.")
        return Session(url.rstrip("/"), token)
    if kept is None or (url is not None and url.rstrip("/") != kept.url):  # one service's tokens never go to another
        raise Failure(Exit.NOT_SIGNED_IN, "Not signed in; run:  python -m taskexport.cli login --url URL --email EMAIL")
    return kept


def read() -> Session | None:
    """The session on disk, None without one that can be read."""
    try:
        return Session(**json.loads((folder() / "session.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write(session: Session | None) -> None:
    """Keeps the session, readable by its owner alone, in one step; None forgets it."""
    path = folder() / "session.json"
    if session is None:
        path.unlink(missing_ok=True)
        return
    _make_folder()
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".session-")  # 0600 from the start
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(session), file)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One process at a time: a refresh token that is spent twice ends the session."""
    _make_folder()
    descriptor = os.open(folder() / "session.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_folder() -> None:
    folder().mkdir(parents=True, exist_ok=True, mode=0o700)
