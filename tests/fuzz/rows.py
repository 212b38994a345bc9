"""The rows that the calls find, and the account that makes the calls."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

django.setup()

from exports.api.scheduled_tasks.shapes import INDEXES  # noqa: E402
from exports.cells import DATE_FORMATS  # noqa: E402
from exports.datasets import DATASETS  # noqa: E402
from exports.formats import FORMATS  # noqa: E402
from exports.models import ExportJob, Operation, Runner  # noqa: E402
from exports.services import configs, jobs, segments  # noqa: E402
from exports.services.specs import TYPES  # noqa: E402
from exports.states import JobStatus  # noqa: E402
from tasks import demo, demo_people, sessions  # noqa: E402
from tasks.models import Calendar, Case, CaseService, Member, Organization, Subject, Task, User  # noqa: E402
from tests import delivering  # noqa: E402
from tests.api import make_job, zipped  # noqa: E402
from tests.scheduling import SEGMENT, make_schedule  # noqa: E402

# What the document's examples name, so that they are answered in full.
EXAMPLE_ORGANIZATION = uuid.UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")
EXAMPLE_CASE, EXAMPLE_SUBJECT = 245, 209
EACH = 12  # enough for the calls that delete or finish one
DAYS = ["2024-01-01", "2030-01-31T23:59:59Z"]
# Of what the document says in words alone.
WORDS: dict[str, list[Any]] = {
    "timezone": ["UTC", "Europe/Amsterdam"],
    "v1 type": list(TYPES),
    "v1 format": list(FORMATS),
    "v1 date_format": list(DATE_FORMATS),
    "v1 dataset": list(DATASETS),
    "v1 columns": [["id", "title"], ["reference"]],
    "v1 filter": [{"column": "title", "op": "contains", "value": "filter"}],
    "/api/v1/export-jobs sort": [[{"column": "id", "direction": "desc"}]],
    "/api/services/records/{index} index": list(INDEXES),
    "/api/services/records/{index} records": [[{"external_id": "T-1", "status": "open"}], [{"external_id": "T-2"}]],
    "export_index": list(INDEXES),
    "export_format": ["csv", "json", "xlsx", "ndjson"],
    "due_on": DAYS[:1],
    "repeat": ["daily", "weekly"],
    **dict.fromkeys(("creation_start_date", "creation_end_date", "once", "alert_at", "created_from", "created_to"), DAYS),
}


def make(folder: Path) -> dict[str, str]:
    """Fills the empty database. Returns, as variables of the environment, the sign-in and the file in the folder that lists what is known."""
    call_command("migrate", verbosity=0)
    acme, globex, _, _ = demo_people.make_people()
    email, password = demo_people.PEOPLE["admin"]
    user = User.objects.get(email=email)
    # Of the platform, too, so that every call may be made; and of one organization, so that no call must name it.
    acme.platform.owners.add(user)
    Organization.objects.filter(pk=globex.pk).update(platform=None)
    Organization.objects.filter(pk=acme.pk).update(uuid=EXAMPLE_ORGANIZATION)
    acme.refresh_from_db()
    demo.make_tasks(acme, 60)
    case = Case.objects.create(pk=EXAMPLE_CASE, organization=acme, name="C-245")
    Subject.objects.create(pk=EXAMPLE_SUBJECT, organization=acme, case=case, name="The example's")
    operations = [Operation.objects.create(organization=acme, user=user, handler="erp-sync", entity_id=number).pk for number in range(EACH)]
    made_configs = [configs.create(user, acme, {"name": f"config {number}", "columns": ["id", "title"]}).pk for number in range(EACH)]
    names = [f"renamed {number}" for number in range(5 * EACH)]
    values: dict[str, list[Any]] = WORDS | {
        "/api/token email": [email],
        "/api/token password": [password],
        "/api/token/refresh refresh": [sessions.sign_in(None, email, password)["refresh"] for _ in range(EACH)],
        "/api/token/revoke refresh": [sessions.sign_in(None, email, password)["refresh"] for _ in range(EACH)],
        "org_id": [acme.uuid],
        "X-Organization": [str(acme.uuid), str(acme.pk)],
        "chain": [acme.pk],
        "platform_id": [acme.platform_id],
        **_jobs(acme, user),
        "v1 task_id": _keys(Task, acme),
        "v2 task_id": operations,
        "/api/v2/task/update id": operations,
        "config_id": made_configs,
        "exportConfigId": made_configs,
        "segment_id": [segments.create(user, acme, f"segment {number}", SEGMENT).pk for number in range(EACH)],
        "schedule_id": [make_schedule(user, acme).pk for _ in range(EACH)],
        "casefile_id": [EXAMPLE_CASE],
        "subject_id": [EXAMPLE_SUBJECT],
        "case_service_id": _keys(CaseService, acme),
        "calendar_id": _keys(Calendar, acme),
        "users_list": [[pk] for pk in _keys(Member, acme)],
        "flowIds": [[]],
        "/api/v1/export-jobs/{job_id}/explain task": _keys(Task, acme),
        "/api/services/segments name": names,
        "/api/services/segments/{segment_id} name": names,
        **{
            f"{kind}_id": [delivering.fill(f"<str:{kind}_id>", acme, "example") for _ in range(EACH)]
            for kind in ("webhook", "destination", "delivery")
        },
        **{f"/api/v1/{kind} name": [f"{kind} {number}" for number in range(5 * EACH)] for kind in ("webhooks", "destinations")},
        "/api/v1/webhooks url": ["https://hooks.example.com/exports"],
        "bucket": ["a-bucket"],
        "endpoint": ["https://store.example.com", ""],
        "prefix": ["exports/tasks"],
        "/api/v1/uploads file": ["reference,title\nR-1,One\n"],
        "file": [zipped().decode("latin-1")],
    }
    connections.close_all()
    (folder / "values.json").write_text(json.dumps(values, default=str))
    return {"FUZZ_EMAIL": email, "FUZZ_PASSWORD": password, "FUZZ_VALUES": str(folder / "values.json")}


def _jobs(organization: Organization, user: User) -> dict[str, list[Any]]:
    """Jobs in every state; each call that wants one state finds mostly such jobs, else it would only ever be refused."""

    def some(status: JobStatus, runner: Runner) -> list[Any]:
        return [make_job(organization, user, status, runner=runner).pk for _ in range(EACH)]

    made = {(status, runner): some(status, runner) for status in JobStatus for runner in Runner}
    claimed = some(JobStatus.QUEUED, Runner.EXTERNAL)
    for job in ExportJob.objects.filter(pk__in=claimed):
        jobs.take(user, job)
    wanted = {
        "start": made[JobStatus.NEW, Runner.INTERNAL],
        "in-progress": made[JobStatus.QUEUED, Runner.EXTERNAL],
        "retry": made[JobStatus.FAILED, Runner.INTERNAL],
        **dict.fromkeys(("progress", "done", "failed"), claimed),
        **dict.fromkeys(("download", "downloads", "receipt", "pin", "explain"), made[JobStatus.DONE, Runner.INTERNAL]),
    }
    every = [key for keys in made.values() for key in keys]
    return {"job_id": every} | {f"/api/v1/export-jobs/{{job_id}}/{call} job_id": keys + every[:: 2 * EACH] for call, keys in wanted.items()}


def _keys(model: Any, organization: Organization) -> list[Any]:
    return list(model.objects.filter(organization=organization).order_by("pk").values_list("pk", flat=True))
