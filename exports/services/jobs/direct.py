"""Direct exports: a job that is born in progress, inside the request that streams its rows."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from exports.models import ExportJob, JobAttempt, Runner, TickLease, Trigger
from exports.services import limits, specs
from exports.services.jobs.moving import record
from exports.services.jobs.working import Claim
from exports.services.operations import recording
from exports.states import JobStatus
from taskexport.errors import TooMany
from tasks.models import Organization, Platform, User

RETRY_SECONDS = 10


def begin_direct(user: User, wish: specs.Wish, organization: Organization | None, platform: Platform | None, worker: str) -> Claim:
    """A job in progress with its attempt; without organization it is over a whole platform, without either over several.
    Raises TooMany while as many run as the settings allow, QuotaFull."""
    limits.require_room(organization)
    TickLease.objects.get_or_create(name="direct", defaults={"until_at": Now()})
    with transaction.atomic():
        TickLease.objects.select_for_update().get(name="direct")  # rivals count one after the other
        running = ExportJob.objects.filter(status=JobStatus.IN_PROGRESS, runner=Runner.WEB)
        if running.count() >= settings.DIRECT_RUNNING or running.filter(created_by=user).count() >= settings.DIRECT_RUNNING_USER:
            raise TooMany(
                f"At most {settings.DIRECT_RUNNING_USER} direct exports of one user run at once, and {settings.DIRECT_RUNNING} of all;"
                " wait for one to end.",
                code="too_many_direct",
                retry_after_seconds=RETRY_SECONDS,
            )
        job = ExportJob.objects.create(
            organization=organization,
            platform=platform if organization is None else None,
            org_name=wish.org_name,
            name=wish.name,
            type=wish.type,
            dataset=wish.spec.dataset,
            format=wish.spec.format,
            creation_start_date=wish.creation_start_date,
            creation_end_date=wish.creation_end_date,
            spec=wish.spec.to_json(),
            trigger=Trigger.DIRECT,
            runner=Runner.WEB,
            created_by=user,
            status=JobStatus.IN_PROGRESS,
            attempt=1,
            started_at=Now(),
        )
        record(job, "created", to=JobStatus.IN_PROGRESS, actor=user, number=1)
        recording.of_job(job)
        attempt = JobAttempt.objects.create(job=job, number=1, token=secrets.token_hex(8), worker=worker)
    return Claim(job, attempt)
