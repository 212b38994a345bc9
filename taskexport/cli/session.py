"""Who is signed in, and where: a file of the user's own, or the environment."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import urllib.parse
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
    """Where the session lives: `taskexport` below XDG_CONFIG_HOME, which is `~/.config` unless set. Raises Failure where there is neither."""
    root = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        return (Path(root) if os.path.isabs(root) else Path.home() / ".config") / "taskexport"
    except RuntimeError:
        raise Failure(Exit.USAGE, "There is no home folder to keep a session in; set XDG_CONFIG_HOME.") from None


def address(name: str, text: str) -> str:
    """A service's address as it was said by an option or a variable of this name. Raises Failure."""
    url = text.strip().rstrip("/")
    try:
        parts = urllib.parse.urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and not parts.query + parts.fragment and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise Failure(Exit.USAGE, f"{name}: write an address such as https://exports.example.com")
    return url


def load(url: str | None) -> Session:
    """The session to use, a service token of the environment first. Raises Failure."""
    token = os.environ.get("TASKEXPORT_TOKEN", "").strip()
    if not url and (said := os.environ.get("TASKEXPORT_URL")):
        url = address("TASKEXPORT_URL", said)
    kept = read()
    if token:
        url = url or (kept.url if kept else None)
        if url is None:
            raise Failure(Exit.USAGE, "Say where the service is: --url, or TASKEXPORT_URL.")
        return Session(url, token)
    if kept is None or (url and url != kept.url):  # one service's tokens never go to another
        raise Failure(Exit.NOT_SIGNED_IN, "Not signed in; run:  python -m taskexport.cli login --url URL --email EMAIL")
    return kept


def read() -> Session | None:
    """The session on disk, None without one that can be read."""
    try:
        return Session(**json.loads((folder() / "session.json").read_text()))
    except (OSError, ValueError, TypeError, Failure):
        return None


def write(session: Session | None) -> None:
    """Keeps the session, readable by its owner alone, in one step; None forgets it. Raises Failure."""
    path = folder() / "session.json"
    with _writing():
        if session is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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
    """One process at a time: a refresh token that is spent twice ends the session. Raises Failure."""
    with _writing():
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder() / "session.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(Exit.USAGE, f"{folder()} cannot be written: {error.strerror}") from None
