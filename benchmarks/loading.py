"""Tasks to export: as many as one wishes, the same ones on SQLite and on PostgreSQL.

A few thousand demo tasks are made by Python and multiplied inside the database, as a table that only ever grew: heap, ids
and times run in one order.
"""

from __future__ import annotations

import math

from django.core.management import call_command
from django.db import connection, transaction

from benchmarks import rows
from tasks.demo import make_tasks
from tasks.models import Member, Organization, Role, Task, User

SEEDS = 20_000
CELL_CHARS = 32_000  # the demo has one body that no workbook's cell holds, and peers would stumble over it
SPAN_SECONDS = 730 * 24 * 3600  # the demo's tasks span this, and their copies twice as much
STEP_SECONDS = 38_980_637  # the span's golden part keeps copies of one task far apart: side by side they would deflate to nothing

IS_SQLITE = connection.vendor == "sqlite"
_SECONDS = f"(%s + CAST(k AS bigint) * {STEP_SECONDS} %% {SPAN_SECONDS})"
SHIFTED = (
    f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', created_at, {_SECONDS} || ' seconds') || substr(created_at, 20)"
    if IS_SQLITE
    else f"created_at + {_SECONDS} * interval '1 second'"
)
EMPTY = (
    ["DELETE FROM tasks_taskassignee", "DELETE FROM tasks_task", "DELETE FROM sqlite_sequence WHERE name = 'tasks_task'"]
    if IS_SQLITE
    else ["TRUNCATE tasks_task RESTART IDENTITY CASCADE"]
)
INDEXES = (
    "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks_task' AND sql IS NOT NULL"
    if IS_SQLITE
    else "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'tasks_task'"
    " AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = 'tasks_task'::regclass)"
)
# The copies hang on what their originals hang on: asking for each again would take longer than all the rest.
UNCHECKED = "PRAGMA foreign_keys = OFF" if IS_SQLITE else "SET session_replication_role = replica"
SETTLED = ["ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"] if IS_SQLITE else ["VACUUM ANALYZE", "CHECKPOINT"]


def _run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def load(count: int, more: int = 0) -> None:
    """Fills an empty database with `count` tasks, or adds `more` to the `count` that it has."""
    if more:
        _multiply(more, copied=count)
    else:
        _seed(min(count, SEEDS))
        _multiply(count, copied=0)


def _seed(count: int) -> None:
    """The tables, an organization with an editor, and `count` demo tasks in the table bench_seed."""
    call_command("migrate", verbosity=0)
    user = User.objects.create_user(rows.EMAIL, name="Bench")
    organization = Organization.objects.create(slug=rows.SLUG, name="Bench")
    Member.objects.create(organization=organization, user=user, role=Role.EDITOR, name="Bench")
    make_tasks(organization, count, seed=1)
    _run("CREATE TABLE bench_seed AS SELECT * FROM tasks_task", f"UPDATE bench_seed SET body = substr(body, 1, {CELL_CHARS})", *EMPTY)


def _multiply(count: int, copied: int) -> None:
    """Adds `count` copies of the seeds in the order of their times, all younger than the `copied` rows made before."""
    names = [str(field.column) for field in Task._meta.concrete_fields if field.column != "id"]
    values = {"external_id": "external_id || '-' || k", "created_at": SHIFTED}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bench_seed")
        seeds = cursor.fetchone()[0]
        first, last = math.ceil(copied / seeds), math.ceil(copied / seeds) + math.ceil(count / seeds) - 1
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        cursor.execute(UNCHECKED)
        with transaction.atomic():
            for name, _ in indexes:
                cursor.execute(f'DROP INDEX "{name}"')
            cursor.execute(
                f"INSERT INTO tasks_task ({', '.join(names)})"
                " WITH RECURSIVE series(k) AS (SELECT %s UNION ALL SELECT k + 1 FROM series WHERE k < %s)"
                f" SELECT {', '.join(values.get(name, name) for name in names)} FROM bench_seed CROSS JOIN series"
                f" ORDER BY {names.index('created_at') + 1}, id, k LIMIT %s",
                [first, last, 2 * SPAN_SECONDS if copied else 0, count],
            )
            for _, definition in indexes:
                cursor.execute(definition)
    _run(*SETTLED)
