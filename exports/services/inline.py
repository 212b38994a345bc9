"""Exports that run inside a request: in progress from their first moment, and over when the request is."""

from __future__ import annotations

import json
from typing import Any

from exports import sources
from exports.datasets import Spec
from exports.formats import FORMATS
from exports.models import ExportJob
from exports.services import jobs, runner
from exports.services.jobs import Claim
from exports.services.specs import Wish
from exports.services.supervising import worker_name
from exports.states import JobStatus
from taskexport.errors import AppError, Conflict, Invalid
from tasks.models import Organization, User

LOOK_SECONDS = 5.0  # for a page of rows that somebody waits for


class Failed(AppError):
    """The export broke in the request that waited for it: 500."""

    status = 500


def begin(user: User, organization: Organization, wish: Wish) -> Claim:
    """The job of a checked wish, in progress in this process. Raises TooMany, Forbidden, NotFound."""
    jobs.require_create(user, organization, wish.spec)
    claim = jobs.begin_direct(user, wish, organization, None, worker_name())
    return Claim(ExportJob.objects.select_related("organization", "created_by").get(pk=claim.job.pk), claim.attempt)


def run_now(claim: Claim) -> ExportJob:
    """Runs the job to its end; the finished job with its file. Never inside a transaction. Raises Failed, Conflict if it was cancelled."""
    runner.run(claim)
    return ended(ExportJob.objects.select_related("organization", "file", "created_by").get(pk=claim.job.pk))


def ended(job: ExportJob) -> ExportJob:
    """The job, if it is done. Raises Conflict while it runs and if it was cancelled, Failed."""
    if job.status == JobStatus.DONE:
        return job
    if job.status == JobStatus.FAILED:
        raise Failed(job.error, code=job.error_code or "internal_error")
    if job.status == JobStatus.CANCELLED:
        raise Conflict("The export was cancelled.", code="cancelled")
    raise Conflict("The export is still running.", code="idempotency_in_flight")


def rows_up_to(spec: Spec, organization: Organization, most: int) -> int:
    """How many rows the spec gives, counted to `most` and one more."""
    query = sources.first(sources.compile_query(spec, [organization.pk]), most + 1)
    with sources.snapshot(FORMATS[spec.format].style(spec)) as snapshot:
        return snapshot.count(query)


def first_rows(spec: Spec, organization: Organization, skip: int, most: int) -> list[dict[str, Any]]:
    """At most so many rows behind the skipped ones, as a JSON file would have them. Raises Invalid where they are not found in time."""
    query = sources.compile_page(spec, [organization.pk], skip, most)
    style = FORMATS["json"].style(spec)
    try:
        with sources.glance(style) as snapshot, snapshot.within(LOOK_SECONDS):
            return [json.loads(line) for block in snapshot.json_lines(query, style, spec.titles) for line in block]
    except sources.TooSlow:
        raise Invalid("These tasks were not found in time. Filter them, or sort by createdTime.", code="too_slow") from None
