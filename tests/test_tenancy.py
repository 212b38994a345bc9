"""Who gets what: every route below /api and /d, by every method, asked by everybody. A route without a row here fails."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import encode_multipart
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from exports.models import ExportConfig, ExportJob, JobAttempt, Operation, Upload
from exports.services import files
from tasks import access, demo
from tasks.models import Calendar, Case, CaseService, Flow, Hub, Organization, Role, Subject, Task, User
from tests import delivering, scheduling
from tests.api import JOBS, content, export, make_job, publish, rows, wish, zipped

pytestmark = pytest.mark.django_db
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ASKERS = ("anonymous", "outsider", "viewer", "editor", "admin", "owner", "staff", "service")
CANARY = "canary-6f1d2c"  # in all that acme has: nobody from outside ever sees it

Row = dict[str, str]
REST = "401 405 405 405 405 405 405 405"
SIGNED_IN = {"POST": "401 405 405 405 405 405 405 405", "OPTIONS": "401 200 200 200 200 200 200 200"}
READ = SIGNED_IN | {"GET": "401 404 200 200 200 200 404 404"}
MOVED = "401 404 403 200 200 403 404 404"
MOVE = SIGNED_IN | {"POST": MOVED}
BY_PUT = MOVE | {"PUT": MOVED}
BY_ADMINS = SIGNED_IN | {"POST": "401 404 403 403 200 403 404 404"}
ADMINS = SIGNED_IN | {"GET": "401 404 403 403 200 403 404 404"}
OPEN = {"*": "405 405 405 405 405 405 405 405", "OPTIONS": "200 200 200 200 200 200 200 200"}
SIGN_IN = OPEN | {"POST": "400 400 400 400 400 400 400 400"}
# Asked without a header: the owner has several organizations and staff none, so both are asked which.
NO_HEADER = {"case-tasks", "case-tasks-bulk", "case-task", "cases", "subjects", "calendars", "case-services", "users"}
OWN = SIGNED_IN | {"GET": "401 200 200 200 200 400 400 200"}
EVERYBODY = OPEN | {"GET": "200 200 200 200 200 200 200 200"}

# By the route's name: what each asker gets of acme by each method, in the order of ASKERS; "*" for those not named, HEAD as GET.
TABLE: dict[str, Row] = {
    "token": SIGN_IN,
    "token-refresh": SIGN_IN,
    "token-revoke": SIGN_IN,
    "schema": EVERYBODY,
    "docs": EVERYBODY,
    "redoc": EVERYBODY,
    "receipt-key": EVERYBODY,
    "export-jobs": SIGNED_IN | {"GET": "401 200 200 200 200 200 200 200", "POST": "401 404 403 201 201 403 404 404"},
    "export-job-preflight": SIGNED_IN | {"POST": "401 404 403 200 200 403 404 404"},
    "export-direct-csv": SIGNED_IN | {"POST": "401 403 403 403 403 200 403 403"},
    "export-job": READ | {"DELETE": "401 404 403 403 204 403 404 404"},
    "export-job-start": BY_PUT,
    "export-job-in-progress": BY_PUT,
    "export-job-progress": MOVE,
    "export-job-done": BY_PUT,
    "export-job-failed": BY_PUT,
    "export-job-pin": SIGNED_IN | {"POST": REST, "PUT": MOVED, "DELETE": MOVED},
    "export-job-cancel": MOVE,
    "export-job-retry": MOVE,
    "export-job-again": SIGNED_IN | {"POST": "401 404 403 201 201 403 404 404"},
    "export-job-events": READ,
    "export-job-issues": READ,
    "export-job-receipt": READ,
    "export-job-explain": READ,
    "export-job-download": READ,
    "export-job-downloads": READ,
    # Contract 4, asked about acme by its header.
    "task-export": SIGNED_IN | {"POST": "401 404 403 200 200 403 404 404"},
    "task-export-log": READ,
    "task-export-tasks": READ,
    "task-export-flows": READ,
    "task-export-hubs": READ,
    "task-export-configs": READ,
    "task-export-config-create": SIGNED_IN | {"POST": "401 404 403 403 201 403 404 404"},
    "task-export-config": READ | {"PUT": "401 404 403 403 200 403 404 404", "DELETE": "401 404 403 403 200 403 404 404"},
    # The organization is named by header; an operation of the editor's own, without anything behind it.
    "operation-index": SIGNED_IN | {"POST": "401 404 200 200 200 200 404 404"},
    "operation-create": SIGNED_IN | {"POST": "401 404 403 201 201 403 404 404"},
    "operation-view": READ | {"POST": REST},
    "operation-update": SIGNED_IN | {"POST": REST, "PUT": "401 404 403 200 200 403 404 404"},
    "operation-update-by-query": SIGNED_IN | {"POST": REST, "PUT": "401 404 403 200 200 403 404 404"},
    "operation-delete": SIGNED_IN | {"POST": REST, "DELETE": "401 404 403 204 204 403 404 404"},
    "uploads": SIGNED_IN | {"POST": "401 404 403 201 201 403 404 404"},
    # A case of acme does not exist where the outsider and the service are.
    "case-tasks": OWN | {"POST": "401 422 403 201 201 403 400 422"},
    "case-tasks-bulk": SIGNED_IN | {"POST": "401 422 403 201 201 403 400 422"},
    "case-task": READ
    | {"PUT": "401 404 403 200 200 403 404 404", "PATCH": "401 404 403 200 200 403 404 404", "DELETE": "401 404 403 403 204 403 404 404"},
    "cases": OWN,
    "subjects": OWN,
    "calendars": OWN,
    "case-services": OWN,
    "users": OWN,
    "scheduled-tasks": READ | {"POST": "401 404 403 403 201 403 404 404"},
    "scheduled-task": READ | {"PUT": "401 404 403 403 200 403 404 404", "DELETE": "401 404 403 403 204 403 404 404"},
    "scheduled-task-url": READ,
    "scheduled-task-execute": MOVE,
    "scheduled-task-runs": READ,
    "scheduled-task-events": READ,
    "scheduled-task-pause": SIGNED_IN | {"POST": "401 404 403 403 200 403 404 404"},
    "scheduled-task-resume": SIGNED_IN | {"POST": "401 404 403 403 200 403 404 404"},
    "scheduled-task-take-over": SIGNED_IN | {"POST": "401 404 403 403 200 403 404 404"},
    "scheduled-task-reset": SIGNED_IN | {"POST": "401 404 403 403 200 403 404 404"},
    "segments": READ | {"POST": "401 404 403 201 201 403 404 404"},
    "segment": READ | {"PUT": "401 404 403 200 200 403 404 404", "DELETE": "401 404 403 403 204 403 404 404"},
    "records": SIGNED_IN | {"PUT": "401 404 403 200 200 403 404 404"},
    # Deliveries are an admin's; what is listed is named by header.
    "webhooks": ADMINS | {"POST": "401 404 403 403 201 403 404 404"},
    "webhook": ADMINS | {"PATCH": "401 404 403 403 200 403 404 404", "DELETE": "401 404 403 403 204 403 404 404"},
    "webhook-test": BY_ADMINS,
    "webhook-rotate-secret": BY_ADMINS,
    "destinations": ADMINS | {"POST": "401 404 403 403 201 403 404 404"},
    "destination": ADMINS | {"PATCH": "401 404 403 403 200 403 404 404", "DELETE": "401 404 403 403 204 403 404 404"},
    "destination-test": BY_ADMINS,
    "deliveries": ADMINS,
    "delivery": ADMINS,
    "delivery-redeliver": BY_ADMINS,
    # A link signed for each asker (for the anonymous: none of ours).
    "link": {"*": "405 405 405 405 405 405 405 405", "GET": "403 403 200 200 200 200 403 403"},
    "nothing": {"*": "404 404 404 404 404 404 404 404"},
}
# The status that a job must have for the call to succeed; done, with a file, for the others.
NEEDS = {
    "export-job-start": "new",
    "export-job-cancel": "new",
    "export-job-retry": "failed",
    "export-job-in-progress": "queued",
    "export-job-progress": "in progress",
    "export-job-done": "in progress",
    "export-job-failed": "in progress",
}
EXTERNAL = {name for name, status in NEEDS.items() if status in {"queued", "in progress"}}


def routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """(path, name, view) of each route; a pattern's own regular expression stays as it is."""
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path, pattern.name or "nothing", pattern.callback


VIEWS = {path: (name, view) for path, name, view in routes(get_resolver().url_patterns) if re.match(r"(api|d)\b", path)}
# A twin with a slash is the same view (by test), so it need not be asked.
ROUTES = [(path, name) for path, (name, _) in VIEWS.items() if not path.endswith("/")]


def expected(name: str, method: str) -> list[int]:
    row = TABLE[name]
    key = "GET" if method == "HEAD" else method
    return [int(status) for status in row.get(key, row.get("*", REST)).split()]


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert {name for _, name in ROUTES} == set(TABLE)
    assert all(len(expected(name, method)) == len(ASKERS) for name in TABLE for method in METHODS)


def test_every_route_answers_alike_with_and_without_a_slash() -> None:
    for path, (name, view) in VIEWS.items():
        if name != "nothing":
            assert VIEWS[path.removesuffix("/")][1] is VIEWS[path.removesuffix("/") + "/"][1] is view, path


@pytest.fixture
def askers(request: pytest.FixtureRequest, globex: Organization) -> dict[str, User | None]:
    """Everybody who asks; staff enters the admin and is member of nothing, service is globex's access token."""
    people: dict[str, User | None] = {name: request.getfixturevalue(name) for name in ("outsider", "viewer", "editor", "admin", "owner")}
    token, _ = access.create_access_token(globex, name="ERP", role=Role.ADMIN)
    staff = User.objects.create_user("staff@example.com", is_staff=True)
    return {"anonymous": None, **people, "staff": staff, "service": token.user}


def make(name: str, acme: Organization, editor: User) -> ExportJob:
    job = make_job(acme, editor, NEEDS.get(name, "failed"), name=CANARY, org_name=CANARY, error=CANARY)
    if name in EXTERNAL:
        ExportJob.objects.filter(pk=job.pk).update(runner="external")
        if NEEDS[name] == "in progress":
            ExportJob.objects.filter(pk=job.pk).update(attempt=1)
            JobAttempt.objects.create(job=job, number=1, token=uuid.uuid4().hex[:16], worker=f"user:{editor.pk}")
    if name not in NEEDS:
        publish(job)
        ExportJob.objects.filter(pk=job.pk).update(status="done")
    return ExportJob.objects.get(pk=job.pk)


def make_task(acme: Organization) -> Task:
    return Task.objects.create(organization=acme, title=CANARY)


def body_for(name: str, method: str, acme: Organization) -> tuple[Any, str]:
    """The body, and its media type."""
    if name == "export-job-done" and method in {"POST", "PUT"}:
        file = SimpleUploadedFile(f"{CANARY}.csv.zip", zipped(), content_type="application/zip")
        return encode_multipart("boundary", {"file": file}), "multipart/form-data; boundary=boundary"
    if name == "uploads":
        file = SimpleUploadedFile(f"{CANARY}.csv", b"a,b\n")
        return encode_multipart("boundary", {"file": file}), "multipart/form-data; boundary=boundary"
    body: dict[str, Any] = scheduling.body_for(name, method, acme, CANARY) or delivering.body_for(name, method, CANARY)
    if method == "POST" and name in {"export-jobs", "export-job-preflight", "export-direct-csv"}:
        body = wish(acme, name=CANARY, org_name=CANARY)
    if name == "task-export" and method == "POST":
        body = {"download": "json", "background": True}
    if name in {"task-export-config", "task-export-config-create"} and method in {"POST", "PUT"}:
        body = {"name": f"{CANARY} {method}", "fields": [{"id": "title", "component": "x", "title": CANARY}]}
    if name == "export-direct-csv":
        body.pop("type", None)
    if name == "export-job-progress":
        body["rows_done"] = 1
    if name in {"case-tasks", "case-task", "case-tasks-bulk"} and method in {"POST", "PUT", "PATCH"}:
        named = {f"{key}_id": model.objects.get(organization=acme).pk for key, model in (("casefile", Case), ("calendar", Calendar))}
        task = {**named, "due_on": "2026-02-14", "title": f"{CANARY} again"}
        body = {"tasks": [task]} if name == "case-tasks-bulk" else {"task": task}
    if name == "operation-create" and method == "POST":
        body = {"handler": CANARY}
    return json.dumps(body), "application/json"


def kept() -> list[Any]:
    models: tuple[Any, ...] = (ExportJob, ExportConfig, Operation, Upload, Task)
    return [scheduling.kept(), delivering.kept(), *(row for model in models for row in model.objects.order_by("pk").values())]


@pytest.mark.parametrize(("path", "name"), ROUTES, ids=[path for path, _ in ROUTES])
def test_everybody_gets_what_the_table_says(
    askers: dict[str, User | None], acme: Organization, editor: User, settings: Any, path: str, name: str
) -> None:
    settings.EXECUTE_WAIT_SECONDS = 0
    Organization.objects.filter(pk=acme.pk).update(name=CANARY)
    wrong, clients = [], {asker: APIClient() for asker in ASKERS}
    for asker, client in clients.items():
        client.force_authenticate(askers[asker])
    job = make(name, acme, editor)
    task = make_task(acme)
    for kind in (Case, Calendar, CaseService, Flow, Hub):
        kind.objects.create(organization=acme, name=CANARY)
    Subject.objects.create(organization=acme, name=CANARY, case=Case.objects.get())
    for method in METHODS:
        for asker, status in zip(ASKERS, expected(name, method), strict=True):
            cache.clear()  # the throttles are not at stake here
            user = askers[asker]
            token = files.link(user, job.file).rpartition("/")[2] if name == "link" and user else "x"
            url = "/" + path.replace("<str:job_id>", str(job.pk)).replace("<str:token>", token).replace("^.*$", f"v1/{uuid.uuid4()}")
            url = delivering.fill(scheduling.fill(url, acme, CANARY), acme, CANARY)
            url += f"?task={task.pk}" if name == "export-job-explain" else ""
            config, _ = ExportConfig.objects.get_or_create(organization=acme, name=CANARY, defaults={"columns": [{"key": "title", "title": CANARY}]})
            url = url.replace("<str:config_id>", str(config.pk))
            if name == "case-task":
                url = url.replace("<str:task_id>", str(task.pk))
            if name.startswith("operation-"):
                operation = Operation.objects.create(organization=acme, handler=CANARY, user=editor)
                url = url.replace("<str:task_id>", str(operation.pk)) + (f"?id={operation.pk}" if name == "operation-update-by-query" else "")
            before = kept()
            body, media = body_for(name, method, acme)
            headers = {} if name in NO_HEADER else {"X-Organization": str(acme.uuid)}
            response = clients[asker].generic(method, url, body, content_type=media, headers=headers)
            answer = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
            if response.status_code != status:
                wrong.append(f"{method} {url} by {asker}: {response.status_code}, not {status}")
            if asker in {"anonymous", "outsider", "staff", "service"}:
                said = answer + str(response.headers).encode()
                if CANARY.encode() in said or (b"sha256" in said and name not in {"schema", "docs", "redoc"}):
                    wrong.append(f"{method} {url} by {asker} tells of acme: {answer[:200]!r}")
            if before != kept():
                if status >= 400:
                    wrong.append(f"{method} {url} by {asker} was refused and changed something")
                job, task = make(name, acme, editor), make_task(acme)
                ExportConfig.objects.all().delete()
    assert not wrong, "\n".join(wrong)


ClientOf = Callable[[User], APIClient]


def test_the_list_has_only_ones_own_organizations(
    client_of: ClientOf, acme: Organization, globex: Organization, editor: User, outsider: User, owner: User
) -> None:
    make_job(acme, editor, name="of acme")
    make_job(globex, outsider, name="of globex")
    seen = {user.name: [job["name"] for job in client_of(user).get(JOBS).json()["jobs"]] for user in (editor, outsider, owner)}
    assert seen == {"Editor": ["of acme"], "Outsider": ["of globex"], "Owner": ["of globex", "of acme"]}
    assert client_of(outsider).get(JOBS).json()["meta"]["total"] == 1


def test_a_filter_by_a_foreign_organization_is_404(client_of: ClientOf, acme: Organization, outsider: User) -> None:
    for name in (acme.uuid, acme.pk, str(acme.uuid).upper(), acme.uuid.hex):
        assert client_of(outsider).get(JOBS, {"org_id": str(name)}).status_code == 404


def test_a_foreign_job_and_no_job_are_refused_in_the_same_words(client_of: ClientOf, acme: Organization, editor: User, outsider: User) -> None:
    job, client = make_job(acme, editor), client_of(outsider)
    for what in ("", "/events", "/receipt", "/download", "/downloads"):
        assert client.get(f"{JOBS}/{job.pk}{what}").content == client.get(f"{JOBS}/{uuid.uuid4()}{what}").content


def test_an_owner_of_one_platform_sees_nothing_of_another(client_of: ClientOf, owner: User, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    Organization.objects.filter(pk=acme.pk).update(platform=None)
    assert client_of(owner).get(f"{JOBS}/{job.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_an_export_holds_the_rows_of_its_organization_alone(
    client_of: ClientOf, acme: Organization, globex: Organization, editor: User, outsider: User
) -> None:
    demo.make_tasks(acme, 30, 1)
    demo.make_tasks(globex, 20, 1)
    Task.objects.filter(organization=acme).update(title=CANARY, hub=None)
    for user, organization, count in ((editor, acme, 30), (outsider, globex, 20)):
        client = client_of(user)
        job = export(client, wish(organization, creation_start_date="2020-01-01", creation_end_date="2030-01-01"))
        found = rows(content(client.get(f"{JOBS}/{job['id']}/download")))
        assert {int(row["id"]) for row in found} == set(Task.objects.filter(organization=organization).values_list("pk", flat=True))
        assert len(found) == count
        assert any(CANARY in row["title"] for row in found) == (organization == acme)
