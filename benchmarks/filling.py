"""An organization's years of exports: as many jobs as tasks, with attempts, files, operations and runs, all made inside PostgreSQL."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from benchmarks import loading, rows
from exports.models import ExportJob, ExportSchedule, Kind
from exports.services import jobs, receipts, retention, specs
from tasks import access
from tasks.models import Member, Organization, Platform, Role, User

PASSWORD = "benchmark of lists"
USERS = 20
SCHEDULES = 199  # a prime, so that each has runs of every outcome

# Of a hundred jobs in a row; the youngest ones are still under way.
_STATUS = """CASE WHEN k > %(jobs)s - 5 THEN 'in progress' WHEN k > %(jobs)s - 30 THEN 'queued'
  WHEN k %% 100 < 90 THEN 'done' WHEN k %% 100 < 96 THEN 'failed' WHEN k %% 100 < 99 THEN 'cancelled' ELSE 'new' END"""
_JOBS = f"""
INSERT INTO exports_exportjob (id, organization_id, org_name, name, type, dataset, format, creation_start_date, creation_end_date, spec,
  trigger, runner, created_by_id, notify, status, version_seq, version_nonce, attempt, crashes, faults, error, error_code,
  created_at, queued_at, available_at, started_at, finished_at)
SELECT gen_random_uuid(), organization_id, org_name, 'Export ' || k || (ARRAY[' week', ' month', ' north', ' south'])[1 + k %% 4],
  (ARRAY['basic','basic','basic','basic','basic','basic','basic','custom','custom','fedex'])[1 + k %% 10],
  CASE WHEN k %% 11 = 0 THEN 'transactions' ELSE 'tasks' END, (ARRAY['csv','csv','xlsx','json'])[1 + k %% 4],
  creation_start_date, creation_end_date, spec, (ARRAY['schedule','api','schedule','api','staff'])[1 + k %% 5], 'internal',
  (%(users)s::bigint[])[1 + k %% {USERS}], false, status, 3, substr(md5(k::text), 1, 8),
  CASE WHEN status IN ('new', 'queued') THEN 0 ELSE 1 END, 0, 0,
  CASE status WHEN 'failed' THEN 'Three workers were lost.' WHEN 'cancelled' THEN 'cancelled' ELSE '' END,
  CASE status WHEN 'failed' THEN 'worker_lost' WHEN 'cancelled' THEN 'cancelled' ELSE '' END,
  at, CASE WHEN status <> 'new' THEN at END, CASE WHEN status <> 'new' THEN at END,
  CASE WHEN status NOT IN ('new', 'queued') THEN at + interval '1 second' END,
  CASE WHEN status IN ('done', 'failed', 'cancelled') THEN at + interval '5 seconds' END
FROM (SELECT k, {_STATUS} AS status, now() - (%(jobs)s - k) * (interval '365 days' / %(jobs)s) AS at FROM generate_series(1, %(jobs)s) AS k) AS made
CROSS JOIN (SELECT organization_id, org_name, creation_start_date, creation_end_date, spec FROM exports_exportjob WHERE id = %(like)s) AS twin
ORDER BY k"""
_THE_REST = [
    """INSERT INTO exports_jobattempt (job_id, number, token, worker, claimed_at, beat_at, rows_total, rows_done, ended_at, outcome, swept)
SELECT id, 1, substr(md5(id::text), 1, 16), 'worker-1', started_at, coalesce(finished_at, now()), 40000, 30000, finished_at,
  CASE status WHEN 'in progress' THEN '' ELSE status END, true FROM exports_exportjob WHERE attempt = 1 ORDER BY created_at""",
    """INSERT INTO exports_exportfile (job_id, attempt, key, name, content_type, size, sha256, rows, receipt, created_at, expires_at,
  pinned, deleted_at)
SELECT id, 1, 'exports/1/' || id || '/1-x/tasks.zip', id || '-task-export.csv.zip', 'application/zip', 1000000, repeat('0', 64), 40000,
  %(receipt)s::jsonb, finished_at, finished_at + interval '30 days', false, CASE WHEN finished_at < now() - interval '31 days' THEN now() END
FROM exports_exportjob WHERE status = 'done' ORDER BY created_at""",
    """INSERT INTO exports_operation (id, organization_id, handler, user_id, entity_id, status, request, created_at, updated_at,
  historized, job_id)
SELECT gen_random_uuid(), job.organization_id, 'ExportHandler', job.created_by_id, job.id::text,
  CASE job.status WHEN 'done' THEN 'completed' WHEN 'in progress' THEN 'running' WHEN 'cancelled' THEN 'failed' WHEN 'failed' THEN 'failed'
    ELSE 'pending' END,
  operation.request, job.created_at, coalesce(job.finished_at, job.started_at, job.queued_at, job.created_at),
  job.status = 'done' AND job.version_nonce < '0a', job.id
FROM exports_exportjob AS job CROSS JOIN (SELECT request FROM exports_operation LIMIT 1) AS operation
WHERE NOT EXISTS (SELECT FROM exports_operation WHERE job_id = job.id) ORDER BY job.created_at""",
    """INSERT INTO exports_operation (id, organization_id, handler, user_id, entity_id, status, request, own_response, created_at,
  updated_at, historized)
SELECT gen_random_uuid(), %(organization)s, (ARRAY['BillingHandler', 'MailHandler'])[1 + k %% 2], (%(users)s::bigint[])[1], k::text,
  (ARRAY['completed', 'pending', 'waiting for ' || k %% 7])[1 + k %% 3], '{"invoice": 7}', '{"sent": true}', now() - k * interval '1 minute',
  now() - k * interval '30 seconds', false FROM generate_series(1, %(jobs)s / 50) AS k""",
    # The runs of schedules, one after the other in turn.
    f"""INSERT INTO exports_firing (schedule_id, intended_at, fired_at, job_id, outcome, detail, by_hand)
SELECT (%(schedules)s::bigint[])[1 + row_number() OVER run %% {SCHEDULES}], created_at, created_at, id,
  CASE status WHEN 'done' THEN 'done' WHEN 'failed' THEN 'failed' WHEN 'cancelled' THEN 'failed' ELSE '' END, '', false
FROM exports_exportjob WHERE trigger = 'schedule' AND organization_id = %(organization)s
WINDOW run AS (ORDER BY created_at, id) ORDER BY created_at, id""",
    """INSERT INTO exports_daytotal (organization_id, day, done, failed, rows)
SELECT organization_id, (finished_at AT TIME ZONE 'UTC')::date, count(*) FILTER (WHERE status = 'done'), count(*) FILTER (WHERE status = 'failed'),
  40000 * count(*) FILTER (WHERE status = 'done') FROM exports_exportjob WHERE status IN ('done', 'failed') GROUP BY 1, 2""",
    """INSERT INTO tasks_taskassignee (task_id, member_id, position)
SELECT id, assignee_id, 0 FROM tasks_task WHERE assignee_id IS NOT NULL ORDER BY id""",
]


@dataclass
class Filled:
    """Who asks, and where."""

    organization: Organization
    token: str  # of a service account in it, an editor
    staff: User  # an admin of it, who may enter the admin
    owner: User  # of its platform


def fill(count: int) -> Filled:
    """So many tasks and so many jobs in the organization, and a hundredth as many in a neighbour, on an empty database."""
    loading.load(count)
    platform = Platform.objects.create(name="Bench")
    organization = rows.organization()
    Organization.objects.filter(pk=organization.pk).update(platform=platform)
    other = Organization.objects.create(slug="neighbour", name="Neighbour", platform=platform)
    owner = User.objects.create_user("owner@example.com", PASSWORD, name="Owner")
    platform.owners.add(owner)
    staff = User.objects.create_user("staff@example.com", name="Staff", is_staff=True)
    Member.objects.create(organization=organization, user=staff, role=Role.ADMIN, name="Staff")
    service, token = access.create_access_token(organization, name="Bench", role=Role.EDITOR)
    users = [service.user, staff, *(User.objects.create_user(f"user{number}@example.com", name=f"User {number}") for number in range(USERS - 2))]
    _jobs(organization, staff, count, users)
    neighbour = User.objects.create_user("neighbour@example.com", name="Neighbour")
    Member.objects.create(organization=other, user=neighbour, role=Role.ADMIN, name="Neighbour")
    _jobs(other, neighbour, count // 100, [neighbour] * USERS)
    _all_else(organization, count, users)
    for statement in loading.SETTLED:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    retention.count_kept()
    return Filled(organization, token, staff, owner)


def _jobs(organization: Organization, maker: User, count: int, users: list[User]) -> None:
    """A real job, and `count` - 1 like it."""
    wish = specs.make({"org_name": organization.name, "name": "Bench", "type": "basic", **rows.PERIOD})
    like = jobs.create(maker, organization, wish)
    with connection.cursor() as cursor:
        cursor.execute(_JOBS, {"jobs": count - 1, "like": like.pk, "users": [user.pk for user in users]})


def _all_else(organization: Organization, count: int, users: list[User]) -> None:
    made = [
        ExportSchedule(
            organization=organization,
            owner=users[1],
            name=f"Schedule {number}",
            kind=Kind.DAILY,
            timezone="UTC",
            starts_on_clock="2030-01-01T02:30:00",
            next_run_at=datetime(2030, 1, 1, 2, 30, tzinfo=UTC),
        )
        for number in range(SCHEDULES)
    ]
    values: dict[str, Any] = {
        "jobs": count,
        "organization": organization.pk,
        "users": [user.pk for user in users],
        "schedules": [each.pk for each in ExportSchedule.objects.bulk_create(made)],
        # As long as a real one.
        "receipt": json.dumps(receipts.sign({"spec": ExportJob.objects.filter(organization=organization).values_list("spec", flat=True)[0]})),
    }
    with connection.cursor() as cursor:
        for statement in _THE_REST:
            cursor.execute(statement, values)
