"""`manage.py demo`: one export from an empty folder to a verified file, through the doors that customers use."""

from __future__ import annotations

import io
import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from exports.services import receipts
from taskexport import processes
from tasks.models import Member, Organization, Role, Task, User

ANSWER_SECONDS = 60
STALL_SECONDS = 120  # without a sign of progress
POLL_SECONDS = 0.25
LINE_SECONDS = 2.0  # between lines of progress where there is no terminal
LOG_LINES = 20
SLUG = "demo-import"  # the organization of a file of one's own


class Failed(Exception):
    """The demo cannot go on; the message says why."""


class Api:
    """The REST API as one person sees it; every call raises Failed on a refusal."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self._url = url
        self._credentials = {"email": email, "password": password}
        self._token = ""
        # The service is on this machine, whatever proxy leads out of it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def sign_in(self) -> None:
        """Fetches an access token, which lives ten minutes."""
        self._token = ""
        self._token = self.call("POST", "/api/token", self._credentials)["access"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON answer."""
        with self._open(method, path, body) as answer:
            return dict(json.load(answer))

    def download(self, path: str, to: Path) -> None:
        """Writes the answer's body to the file."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._open("GET", path) as answer, to.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)

    def _open(self, method: str, path: str, body: dict[str, Any] | None = None, *, renews: bool = True) -> HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"} if data else {}, method=method)  # noqa: S310
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")  # a store we are sent on to must not see it
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=ANSWER_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code == 401 and self._token and renews:
                self.sign_in()
                return self._open(method, path, body, renews=False)
            raise Failed(f"{method} {path} answered {error.code}: {error.read(2000).decode(errors='replace')}") from None
        except OSError as error:
            raise Failed(f"{method} {path} got no answer: {error}") from None
        return answer


class Command(BaseCommand):
    """Makes tasks (or imports them), exports them by a real worker, downloads and verifies the file; the last line is JSON."""

    help = "Runs one export from nothing to a verified file; the last line is one JSON object."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", type=Path, help="a CSV or XLSX file of your own, in place of the demo's tasks")
        parser.add_argument("--map", type=Path, help="the JSON file that says which column goes where")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["file"] is None) != (options["map"] is None):
            raise CommandError("A file needs its map:  make demo FILE=tasks.csv MAP=columns.json")
        logs = settings.VAR / "log"
        try:
            with processes.on_sigterm(KeyboardInterrupt()):
                organization, person = self._prepare(options["file"], options["map"])
                tasks = Task.objects.filter(organization=organization).count()
                connections.close_all()  # the export is the service's affair
                self._say(f"{organization.name} has {tasks:,} tasks; starting a web server and two queue clusters")
                with processes.service(processes.free_port(), {}, logs) as service:
                    result = self._export(service, organization, person, tasks)
        except (Failed, processes.Ended) as error:
            raise CommandError(f"{error}\n{_ends_of(logs)}") from None
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=130) from None
        self.stdout.write(json.dumps(result))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _prepare(self, file: Path | None, mapping: Path | None) -> tuple[Organization, dict[str, str]]:
        """The organization to export and who does it: `email` and `password`."""
        self._say(f"Migrating {connections['default'].vendor}, making demo organizations, people and tasks")
        call_command("migrate", verbosity=0)
        output = io.StringIO()
        call_command("seed_demo", stdout=output, **({"tasks": 0} if file else {}))  # with a file only the people matter
        seeded = json.loads(output.getvalue().splitlines()[-1])
        person = seeded["people"]["admin"]
        if file is None or mapping is None:
            return Organization.objects.get(uuid=seeded["organizations"]["acme"]["uuid"]), person
        organization, _ = Organization.objects.get_or_create(slug=SLUG, defaults={"name": "Demo import", "timezone": _zone(mapping)})
        user = User.objects.get(email=person["email"])
        Member.objects.get_or_create(organization=organization, user=user, defaults={"role": Role.ADMIN, "name": user.name, "email": user.email})
        self._say(f"Importing {file}")
        call_command("import_tasks", str(file), organization=organization.slug, map=mapping, stdout=self.stdout)
        return organization, person

    def _export(self, service: processes.Service, organization: Organization, person: dict[str, str], tasks: int) -> dict[str, Any]:
        """Makes, starts, follows, downloads and verifies the export; what the last line says of it. Raises Failed, processes.Ended."""
        api = Api(service.url, person["email"], person["password"])
        api.sign_in()
        now = datetime.now(UTC)
        order = {
            "org_id": str(organization.uuid),
            "org_name": organization.name,
            "name": f"Demo {now:%Y-%m-%d %H:%M:%S}",
            "type": "basic",
            "creation_start_date": "1990-01-01T00:00:00Z",
            "creation_end_date": f"{now + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        }
        job = api.call("POST", "/api/v1/export-jobs", order)["job"]
        path = f"/api/v1/export-jobs/{job['id']}"
        self._say(f"Job {job['id']} is made at {service.url}; starting it")
        began = time.monotonic()
        api.call("POST", f"{path}/start", {})
        job = self._follow(api, path, service)
        seconds = time.monotonic() - began
        if job["status"] != "done":
            raise Failed(f"The job ended as {job['status']}: {job['result']['error']}")
        file = settings.VAR / "downloads" / Path(job["file"]["name"]).name
        api.download(f"{path}/download", file)
        signed = api.call("GET", f"{path}/receipt")
        problems = receipts.verify(file, signed, api.call("GET", "/api/receipt-key")["public_key"])
        if problems:
            raise Failed(f"{file} is wrong. {' '.join(problems)}")
        rows, size, sha256 = (signed["receipt"][key] for key in ("rows_written", "size", "sha256"))
        if not rows == job["file"]["rows"] == tasks or sha256 != job["file"]["sha256"]:
            raise Failed(f"{organization.name} has {tasks} tasks; the receipt says {rows} rows, {sha256}; the job says {job['file']}")
        self._say(f"Downloaded and verified by its signed receipt: {rows:,} rows, {size:,} bytes")
        return {"job": job["id"], "status": job["status"], "rows": rows, "file": str(file), "sha256": sha256, "seconds": round(seconds, 2)}

    def _follow(self, api: Api, path: str, service: processes.Service) -> dict[str, Any]:
        """The job once it has ended, its progress shown until then."""
        on_terminal = self.stdout.isatty()
        shown, shown_at, moved_at = "", 0.0, time.monotonic()
        while True:
            job: dict[str, Any] = api.call("GET", path)["job"]
            ended = job["status"] in {"done", "failed", "cancelled"}
            line, now = _progress(job), time.monotonic()
            if line != shown:
                moved_at = now
                if on_terminal:
                    self.stdout.write(f"\r\x1b[K{line}", ending="\n" if ended else "")
                elif ended or now - shown_at > LINE_SECONDS or not line.startswith(shown.partition(":")[0]):
                    self.stdout.write(line)
                    shown_at = now
                self.stdout.flush()
                shown = line
            if ended:
                return job
            service.check()
            if now - moved_at > STALL_SECONDS:
                raise Failed(f"No progress in {STALL_SECONDS} seconds; the job is {job['status']}")
            time.sleep(POLL_SECONDS)


def _progress(job: dict[str, Any]) -> str:
    progress = job.get("progress") or {}
    done, total, percent = progress.get("rows_done") or 0, progress.get("rows_total"), progress.get("percent")
    of = f" of {total:,}" if total is not None else ""
    return f"{job['status']}: {done:,}{of} rows" + (f", {percent:.0f} %" if percent is not None else "")


def _zone(mapping: Path) -> str:
    try:
        return json.loads(mapping.read_text(encoding="utf-8-sig")).get("timezone") or "UTC"
    except (OSError, ValueError, AttributeError) as error:
        raise CommandError(f"{mapping} cannot be read as a map: {error}") from None


def _ends_of(logs: Path) -> str:
    """The last lines of each process's log."""
    parts = []
    for path in sorted(logs.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
        parts.append("\n".join([f"-- the end of {path}", *lines]))
    return "\n".join(parts)
