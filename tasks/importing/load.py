"""From the staging tables into the real ones, by a handful of statements that PostgreSQL and SQLite both understand."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from taskexport.errors import Invalid
from tasks.importing.mapping import ASSIGNEE, ATTRIBUTES, NAMED
from tasks.importing.staging import Staging
from tasks.models import Member, Organization, Task, TaskAssignee

# SQLite has no statistics of the staging tables and may choose a join's order badly: its CROSS JOIN keeps ours, PostgreSQL's is an inner join.
TASKS = Task._meta.db_table
MEMBERS = Member._meta.db_table
ASSIGNEES = TaskAssignee._meta.db_table


def load(staging: Staging, organization: Organization, *, has_people: bool) -> tuple[int, int]:
    """Writes all staged rows and returns (created, updated); call it inside a transaction. Raises Invalid."""
    if staging.connection.vendor == "postgresql":
        # Two imports at once would make the same members twice, and could wait for each other's tasks in a circle.
        staging.execute("SELECT pg_advisory_xact_lock(hashtext('tasks.importing'), %s)", (organization.pk % 2**31,))
    created, updated = _count(staging, organization)
    for name in NAMED:
        if name in staging.columns:
            _make_named(staging, organization, name)
    if has_people:
        _make_members(staging, organization)
    if "external_id" not in staging.columns:
        _number(staging)
    _write_tasks(staging, organization, has_people)
    if has_people:
        _write_assignees(staging, organization)
    return created, updated


def _count(staging: Staging, organization: Organization) -> tuple[int, int]:
    ((rows,),) = staging.fetch("SELECT count(*) FROM {rows}")
    updated = 0
    if "external_id" in staging.columns:
        ((updated,),) = staging.fetch(
            f"SELECT count(*) FROM {{rows}} s CROSS JOIN {TASKS} t WHERE t.organization_id = %s AND t.external_id = s.external_id", (organization.pk,)
        )
    if rows > updated and "title" not in staging.columns:
        raise Invalid.field("title", f"{rows - updated} rows are new tasks, and a new task needs a title: map a column or a constant to it.")
    return rows - updated, updated


def _make_named(staging: Staging, organization: Organization, name: str) -> None:
    table = NAMED[name]._meta.db_table
    if name == "subject":
        staging.execute(
            f"INSERT INTO {table} (organization_id, case_id, name) SELECT c.organization_id, c.id, s.subject FROM {{rows}} s"
            f' CROSS JOIN {NAMED["case"]._meta.db_table} c WHERE c.organization_id = %s AND c.name = s."case" AND s.subject IS NOT NULL'
            " GROUP BY c.organization_id, c.id, s.subject ORDER BY min(s.line) ON CONFLICT DO NOTHING",
            (organization.pk,),
        )
    else:
        staging.execute(
            f'INSERT INTO {table} (organization_id, name) SELECT CAST(%s AS bigint), s."{name}" FROM {{rows}} s WHERE s."{name}" IS NOT NULL'
            f' GROUP BY s."{name}" ORDER BY min(s.line) ON CONFLICT DO NOTHING',
            (organization.pk,),
        )


def _make_members(staging: Staging, organization: Organization) -> None:
    # A member's e-mail is kept in small letters, its name as the file writes it.
    _find_members(staging, organization)
    made = staging.execute(
        f"INSERT INTO {MEMBERS} (organization_id, name, email)"
        " SELECT CAST(%s AS bigint), min(p.text), CASE WHEN p.key LIKE '%%@%%' THEN p.key ELSE '' END FROM {people} p"
        " LEFT JOIN {members} m ON m.key = p.key WHERE m.id IS NULL GROUP BY p.key ORDER BY min(p.line), p.key",
        (organization.pk,),
    )
    if made:
        _find_members(staging, organization)


def _find_members(staging: Staging, organization: Organization) -> None:
    """Fills {members}: e-mails have an @ and names have none, so one key serves both; of two members with one key the older is meant."""
    staging.execute("DELETE FROM {members}")
    staging.execute(
        "INSERT INTO {members} (key, id)"
        f" SELECT lower(email), min(id) FROM {MEMBERS} WHERE organization_id = %s AND email LIKE '%%@%%' GROUP BY lower(email)"
        f" UNION ALL SELECT name, min(id) FROM {MEMBERS} WHERE organization_id = %s AND name NOT LIKE '%%@%%' GROUP BY name",
        (organization.pk, organization.pk),
    )


def _number(staging: Staging) -> None:
    """Without references of their own the new tasks get their ids now, by which their assignees find them."""
    if staging.connection.vendor == "postgresql":
        staging.execute("UPDATE {rows} SET task_id = nextval(pg_get_serial_sequence(%s, 'id'))", (TASKS,))
    else:
        staging.execute("UPDATE {rows} SET task_id = rowid + coalesce((SELECT seq FROM sqlite_sequence WHERE name = %s), 0)", (TASKS,))


def _write_tasks(staging: Staging, organization: Organization, has_people: bool) -> None:
    connection = staging.connection
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    joins, join_params = "", []
    columns: list[str] = []
    values: list[str] = []
    params: list[Any] = []
    updates: list[str] = []

    def put(column: str, value: str, *given: Any, update: bool = True) -> None:
        columns.append(f'"{column}"')
        values.append(value)
        params.extend(given)
        if update:
            updates.append(f'"{column}" = excluded."{column}"')

    for field in Task._meta.concrete_fields:
        if field.name == "id":
            if "external_id" not in staging.columns:
                put("id", "s.task_id", update=False)
        elif field.name == "organization":
            put("organization_id", "CAST(%s AS bigint)", organization.pk, update=False)
        elif field.name == "updated_at":
            put("updated_at", "%s", now)
        elif field.name in staging.columns and field.name in NAMED:
            alias = f'"r_{field.name}"'
            by_case = ' AND "r_subject".case_id = "r_case".id' if field.name == "subject" else ""
            joins += (
                f' LEFT JOIN {NAMED[field.name]._meta.db_table} {alias} ON {alias}.organization_id = %s AND {alias}.name = s."{field.name}"{by_case}'
            )
            join_params.append(organization.pk)
            put(f"{field.name}_id", f"{alias}.id")
        elif field.name in staging.columns:
            put(field.name, f's."{field.name}"')
        elif field.name == ASSIGNEE and has_people:
            joins += " LEFT JOIN {people} lead ON lead.line = s.line AND lead.position = 0 LEFT JOIN {members} m ON m.key = lead.key"
            put("assignee_id", "m.id")
        elif field.name == "created_at":
            put("created_at", "%s", now, update=False)
        else:
            put(str(field.column), "%s", _default(field, connection), update=False)
    if "case" in staging.columns and "subject" not in staging.columns:
        # A subject belongs to its case, so it cannot stay when the case changes.
        updates.append(f"subject_id = CASE WHEN {TASKS}.case_id = excluded.case_id THEN {TASKS}.subject_id END")
    staging.execute(
        f"INSERT INTO {TASKS} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {{rows}} s{joins} WHERE true ORDER BY s.line"
        f" ON CONFLICT (organization_id, external_id) DO UPDATE SET {', '.join(updates)}",
        params + join_params,
    )


def _default(field: models.Field[Any, Any], connection: Any) -> Any:
    # An empty object as text, because every driver sends a text as it is.
    return "{}" if field.name == ATTRIBUTES else field.get_db_prep_save(field.get_default(), connection)


def _write_assignees(staging: Staging, organization: Organization) -> None:
    tasks = f"FROM {{rows}} s CROSS JOIN {TASKS} t"
    mine = "WHERE t.organization_id = %s AND t.id = s.task_id"
    if "external_id" in staging.columns:
        mine = "WHERE t.organization_id = %s AND t.external_id = s.external_id"
        staging.execute(f"DELETE FROM {ASSIGNEES} WHERE task_id IN (SELECT t.id {tasks} {mine})", (organization.pk,))
    staging.execute(
        f"INSERT INTO {ASSIGNEES} (task_id, member_id, position) SELECT t.id, m.id, p.position {tasks} CROSS JOIN {{people}} p"
        f" CROSS JOIN {{members}} m {mine} AND p.line = s.line AND m.key = p.key ORDER BY p.line, p.position ON CONFLICT DO NOTHING",
        (organization.pk,),
    )
