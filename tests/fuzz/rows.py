"""The rows that the calls find, and the account that makes the calls."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.db import connections

django.setup()

from exports.models import ExportFile, Operation  # noqa: E402
from exports.services import configs, segments  # noqa: E402
from exports.states import JobStatus  # noqa: E402
from tasks import demo, demo_people  # noqa: E402
from tasks.models import Case, Organization, Subject, Task, User  # noqa: E402
from tests.api import make_job  # noqa: E402
from tests.scheduling import SEGMENT, make_schedule  # noqa: E402

# What the document's examples name, so that they are answered in full.
EXAMPLE_ORGANIZATION = uuid.UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")
EXAMPLE_CASE, EXAMPLE_SUBJECT = 245, 209
EACH = 12  # enough for the calls that delete or finish one


def make(folder: Path) -> dict[str, str]:
    """Fills the empty database. Returns the sign-in as variables of the environment; ids go to a file per kind in the folder."""
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
    dictionaries = {
        "organizations": [acme.uuid, acme.pk],
        "chains": [acme.pk],
        "jobs": [make_job(acme, user, status).pk for status in JobStatus for _ in range(EACH)],
        "case_tasks": Task.objects.filter(organization=acme).order_by("pk").values_list("pk", flat=True),
        "configs": [configs.create(user, acme, {"name": f"config {number}", "columns": ["id", "title"]}).pk for number in range(EACH)],
        "segments": [segments.create(user, acme, f"segment {number}", SEGMENT).pk for number in range(EACH)],
        "schedules": [make_schedule(user, acme).pk for _ in range(EACH)],
    }
    for number in range(EACH):
        Operation.objects.create(organization=acme, user=user, handler="erp-sync", entity_id=number)
    dictionaries["operations"] = Operation.objects.order_by("?").values_list("pk", flat=True)
    assert ExportFile.objects.exists()
    for name, values in dictionaries.items():
        (folder / f"{name}.txt").write_text("".join(f"{json.dumps(str(value))}\n" for value in values))
    connections.close_all()
    return {"FUZZ_EMAIL": email, "FUZZ_PASSWORD": password}
