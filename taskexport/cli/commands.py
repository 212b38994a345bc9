"""The commands: what they take, ask of the service, and print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskexport.cli import downloading, session
from taskexport.cli.api import LOOPBACK, Api
from taskexport.cli.failing import Exit, Failure
from taskexport.cli.session import Session

JOBS = "/api/v1/export-jobs"
ENDED = {"done", "failed", "cancelled"}
FIRST_POLL_SECONDS = 0.25  # small exports are done in less than the service's own Retry-After
LINE_SECONDS = 2.0  # between lines of progress where there is no terminal
PAGE = 200


# -- Saying --------------------------------------------------------------------------------------------------------
class Progress:
    """One line on a terminal, a line now and then in a log, nothing when quiet; always on stderr."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.shown_at, self.shown = quiet, 0.0, ""

    def say(self, text: str, *, last: bool = False) -> None:
        if self.quiet or text == self.shown:
            return
        now = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or now - self.shown_at >= LINE_SECONDS:
            print(text, file=sys.stderr, flush=True)
            self.shown_at = now
        self.shown = text


def _print(options: argparse.Namespace, value: Any, text: str) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False) if options.json else text)


def _clean(text: object) -> str:
    """Names are other people's: no control character of theirs reaches the terminal."""
    return "".join(c if c.isprintable() else "�" for c in str(text))


def _job_text(job: dict[str, Any]) -> str:
    file = job["file"] or {}
    lines = {key: job[key] for key in ("id", "name", "org_id", "type", "format", "status", "created_at", "finished_at")}
    lines |= {"rows": job["progress"]["rows_done"], "error": job["result"]["error"], "queue position": job.get("queue_position")}
    lines |= {"file": file.get("name"), "bytes": file.get("size"), "sha256": file.get("sha256"), "expires_at": file.get("expires_at")}
    return "\n".join(f"{key}: {_clean(value)}" for key, value in lines.items() if value not in (None, ""))


# -- Commands ------------------------------------------------------------------------------------------------------
def login(options: argparse.Namespace) -> None:
    """Signs in and keeps the session."""
    url, parts = options.url, urllib.parse.urlsplit(options.url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        print("Warning: over http:// the password can be read on its way; use https://.", file=sys.stderr)
    try:
        email = options.email or _asked("E-mail: ")
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    except EOFError:
        raise Failure(Exit.USAGE, "login: nobody answers; say --email, and give the password on stdin") from None
    pair = Api(Session(url, "")).call("POST", "/api/token", {"email": email, "password": password})
    with session.locked():
        session.write(Session(url, pair["access"], pair["refresh"], email))
    _print(options, {"url": url, "email": email}, f"Signed in to {url} as {email}.")


def _asked(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return input()


def logout(options: argparse.Namespace) -> None:
    """Ends the session, here and there."""
    with session.locked():
        kept = session.read()
        session.write(None)
    if kept and kept.refresh:
        try:
            Api(Session(kept.url, "")).open("POST", "/api/token/revoke", {"refresh": kept.refresh}).close()
        except Failure as error:
            if error.exit_code != Exit.NOT_SIGNED_IN:
                raise
    _print(options, {}, "Signed out.")


def create(options: argparse.Namespace) -> None:
    """Makes and starts a job; waits for it and fetches its file if told to."""
    if options.output is not None:
        downloading.require_writable(Path(options.output))
    api = Api(session.load(options.url))
    key = options.idempotency_key or str(uuid.uuid4())  # a lost answer is asked for again, and makes one job
    job = api.call("POST", JOBS, _wish(options), {"Idempotency-Key": key})["job"]
    if job["status"] == "new" and not options.no_start:
        job = _start(api, job["id"])
    if not options.wait and options.output is None:
        _print(options, job, job["id"])
        return
    print(f"Job {job['id']}", file=sys.stderr)
    progress = Progress(options.quiet)
    job = _wait(api, job["id"], progress)
    if job["status"] != "done":
        if options.json:
            _print(options, job, "")
        raise Failure(Exit.JOB_FAILED, f"The job is {job['status']}: {_clean(job['result']['error'])}")
    path = _fetch(api, job, options.output, progress) if options.output is not None else None
    _print(options, job | ({"path": str(path)} if path else {}), str(path) if path else job["id"])


def _start(api: Api, job_id: str) -> dict[str, Any]:
    try:
        return dict(api.call("POST", f"{JOBS}/{job_id}/start", {})["job"])
    except Failure as error:
        # The answer to a start may be lost although it was heard.
        job = dict(api.call("GET", f"{JOBS}/{job_id}")["job"])
        if job["status"] == "new":
            raise error from None
        return job


def _wish(options: argparse.Namespace) -> dict[str, Any]:
    now = datetime.now(UTC).replace(microsecond=0)
    is_custom = options.columns is not None or options.dataset or options.config_id is not None
    body: dict[str, Any] = {
        "org_id": options.org,
        "org_name": options.org_name or options.org,
        "name": options.name or f"Export of {now:%Y-%m-%d %H:%M:%S} UTC",
        "type": options.type or ("custom" if is_custom else "basic"),
        "creation_start_date": options.start,
        "creation_end_date": options.end or f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    given = {
        "format": options.format,
        "timezone": options.timezone,
        "date_format": options.date_format,
        "dataset": options.dataset,
        "config_id": options.config_id,
        "filter": _json("--filter", options.filter) if options.filter is not None else None,
        "columns": _list("--columns", options.columns, lambda name: name),
        "sort": _list("--sort", options.sort, _sorted_by),
        "options": dict(map(_option, options.option)) or None,
    }
    return body | {name: value for name, value in given.items() if value is not None}


def _json(name: str, text: str) -> Any:
    """JSON as it stands, or after an @ from a file."""
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        raise Failure(Exit.USAGE, f"{name}: write JSON, or @FILE: {error}") from None


def _list(name: str, text: str | None, one: Callable[[str], Any]) -> Any:
    """Names with commas between, or JSON, or @FILE."""
    if text is None:
        return None
    return _json(name, text) if text.lstrip()[:1] in {"[", "@"} else [one(part.strip()) for part in text.split(",")]


def _sorted_by(name: str) -> dict[str, str]:
    return {"column": name.removeprefix("-"), "direction": "desc" if name.startswith("-") else "asc"}


def _option(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise Failure(Exit.USAGE, f"--option {text}: write NAME=VALUE")
    return name, {"true": True, "false": False}.get(value, value)


def _wait(api: Api, job_id: str, progress: Progress) -> dict[str, Any]:
    pause = FIRST_POLL_SECONDS
    while True:
        body, headers = api.ask("GET", f"{JOBS}/{job_id}")
        job: dict[str, Any] = body["job"]
        told = headers.get("Retry-After", "")
        done, total = job["progress"]["rows_done"], job["progress"]["rows_total"]
        of = f" of {total:,}" if total is not None else ""
        progress.say(f"{job['status']}: {done:,}{of} rows", last=job["status"] in ENDED)
        if job["status"] in ENDED:
            return job
        time.sleep(pause)
        pause = min(pause * 2, float(told) if told.isdecimal() else 2.0)


def _fetch(api: Api, job: dict[str, Any], output: str | None, progress: Progress) -> Path:
    def say(done: int, size: int) -> None:
        progress.say(f"{done:,} of {size:,} bytes")

    path = downloading.fetch(api, job, Path(output or "."), say)
    progress.say(f"{path}: {job['file']['size']:,} bytes, SHA-256 is right", last=True)
    return path


def list_jobs(options: argparse.Namespace) -> None:
    """Prints jobs, newest first."""
    api = Api(session.load(options.url))
    asked = {"status": options.status, "type": options.type, "org_id": options.org, "per_page": str(min(options.limit, PAGE))}
    query = urllib.parse.urlencode({name: value for name, value in asked.items() if value})
    jobs: list[dict[str, Any]] = []
    while query and len(jobs) < options.limit:
        body, headers = api.ask("GET", f"{JOBS}?{query}")
        jobs += body["jobs"]
        link = headers.get("Link", "")
        # Only the query: wherever a link points, we ask the service that we know.
        query = urllib.parse.urlsplit(link.partition("<")[2].partition(">")[0]).query
    jobs = jobs[: options.limit]
    _print(options, jobs, "\n".join(map(_line, jobs)) or "There are no jobs.")


def _line(job: dict[str, Any]) -> str:
    return f"{job['id']}  {job['status']:<11}  {job['progress']['rows_done']:>11,}  {job['created_at'][:19]}Z  {_clean(job['name'])}"


def show(options: argparse.Namespace) -> None:
    """Prints one job."""
    job = Api(session.load(options.url)).call("GET", _path(options.id))["job"]
    _print(options, job, _job_text(job))


def cancel(options: argparse.Namespace) -> None:
    """Cancels one job."""
    job = Api(session.load(options.url)).call("POST", f"{_path(options.id)}/cancel", {})["job"]
    _print(options, job, f"{job['id']}: {job['status']}")


def download(options: argparse.Namespace) -> None:
    """Fetches one job's file."""
    api = Api(session.load(options.url))
    job = api.call("GET", _path(options.id))["job"]
    path = _fetch(api, job, options.output, Progress(options.quiet))
    _print(options, job | {"path": str(path)}, str(path))


def _path(job_id: str) -> str:
    return f"{JOBS}/{urllib.parse.quote(job_id, safe='')}"


# -- The command line ----------------------------------------------------------------------------------------------
def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError("write a whole number from 1 to 100000")
    return int(text)


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise argparse.ArgumentTypeError("write an id, a whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help="the service, such as https://exports.example.com (else the one signed in to, or TASKEXPORT_URL)")
    common.add_argument("--json", action="store_true", help="print JSON; errors too, as JSON on stderr")
    common.add_argument("--quiet", action="store_true", help="no progress")
    parser = argparse.ArgumentParser(
        prog="python -m taskexport.cli",
        description="Exports tasks from a taskexport service.",
        epilog="Exit codes: 0 ok, 2 usage, 3 not signed in, 4 refused, 5 not found, 6 job failed or cancelled, 7 network, 8 checksum.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=[common], help=text, description=text)
        made.set_defaults(run=run)
        return made

    one = command("login", login, "sign in; the password is asked for, or read from stdin")
    one.add_argument("--email", help="who signs in")
    command("logout", logout, "sign out")
    one = command("create", create, "make and start an export; prints the job's id, or with -o the file's path")
    one.add_argument("--org", required=True, help="the organization's uuid or id")
    for name in ("org-name", "name", "type", "format", "timezone", "date-format", "dataset", "idempotency-key"):
        one.add_argument(f"--{name}")
    one.add_argument("--from", dest="start", default="1901-01-01", metavar="TIME", help="created from; RFC 3339 or a day; everything unless said")
    one.add_argument("--to", dest="end", metavar="TIME", help="created up to; now unless said")
    one.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the format; may be repeated")
    one.add_argument("--filter", metavar="JSON|@FILE", help="which rows, as a tree of conditions")
    one.add_argument("--columns", metavar="NAMES|JSON|@FILE", help="with commas between, or as JSON")
    one.add_argument("--sort", metavar="NAMES|JSON|@FILE", help="with commas between, - in front for descending (--sort=-id), or as JSON")
    one.add_argument("--config-id", type=_id, help="a saved config, in place of columns")
    one.add_argument("--no-start", action="store_true", help="only make it")
    one.add_argument("--wait", action="store_true", help="until it has ended")
    one.add_argument("-o", "--output", metavar="FILE", help="wait, and fetch the file; a folder takes its own name")
    one = command("list", list_jobs, "list jobs, newest first")
    for name in ("status", "type", "org"):
        one.add_argument(f"--{name}")
    one.add_argument("--limit", type=_count, default=50, help="at most so many; 50 unless said")
    for name, run, text in (
        ("show", show, "show a job"),
        ("cancel", cancel, "cancel a job"),
        ("download", download, "fetch a job's file; goes on where an earlier try broke off"),
    ):
        one = command(name, run, text)
        one.add_argument("id", help="the job's id")
        if name == "download":
            one.add_argument("-o", "--output", metavar="FILE", help="a folder takes the file's own name; here unless said")
    return parser


def _forget_output() -> None:
    """What is still to be written goes nowhere: Python would try once more at its end, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str]) -> int:
    """Runs one command; its exit code."""
    options = _parser().parse_args(arguments)  # exits with 2 by itself
    try:
        if options.run is login and not options.url:
            raise Failure(Exit.USAGE, "login: say where, with --url")
        if options.url:
            options.url = session.address("--url", options.url)
        if getattr(options, "no_start", False) and (options.wait or options.output is not None):
            raise Failure(Exit.USAGE, "--no-start: there is nothing to wait for")
        options.run(options)
        print(end="", flush=True)  # what can't be written is found now, and not after the exit code
    except Failure as error:
        told = error.body or {"message": error.message}
        if options.json:
            print(json.dumps(told | {"exit_code": int(error.exit_code)}), file=sys.stderr)
        else:
            print(f"{_clean(error.message)}", file=sys.stderr)
        return int(error.exit_code)
    except (KeyError, TypeError):
        print("The answer is not one of taskexport's; is the address right, and is this client as new as the service?", file=sys.stderr)
        return int(Exit.NETWORK)
    except BrokenPipeError:  # whoever reads our output has seen enough
        _forget_output()
    except OSError as error:
        _forget_output()
        print(f"The output cannot be written: {error.strerror}", file=sys.stderr)
        return int(Exit.USAGE)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    return int(Exit.OK)
