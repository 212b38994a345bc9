"""Names of assignees: looked up row by row for a few tasks, put together once and joined for many."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.sql.datastructures import BaseTable

from exports.expressions.base import Templated
from tasks.models import Member, Task, TaskAssignee

JOINED = "assignee_names"
_ASSIGNMENTS = f'"{TaskAssignee._meta.db_table}" AS a JOIN "{Member._meta.db_table}" AS m ON m.id = a.member_id WHERE a.task_id'
_JOINED_NAMES = "string_agg(m.name, '; ' ORDER BY a.position, a.id)"


class AssigneeNames(Templated):
    """The names of a task's assignees by the task's id, in their order, joined by `; `; null where there are none."""

    postgres = f"(SELECT {_JOINED_NAMES} FROM {_ASSIGNMENTS} = {{c}})"
    sqlite = f"(SELECT group_concat(name, '; ') FROM (SELECT m.name AS name FROM {_ASSIGNMENTS} = {{c}} ORDER BY a.position, a.id))"
    output_field = TextField()

    def as_sql(self, compiler: Any, connection: Any, function: Any = None, template: Any = None, arg_joiner: Any = None, **extra: Any) -> Any:
        if JOINED in compiler.query.alias_map:
            return f'"{JOINED}".names', ()
        return super().as_sql(compiler, connection, function, template, arg_joiner, **extra)


class _Joined(BaseTable):
    """The LEFT JOIN of the names of all tasks whose ids a subquery gives."""

    def __init__(self, ids_sql: str, params: tuple[Any, ...]) -> None:
        super().__init__(JOINED, JOINED)
        self._ids_sql, self._params = ids_sql, params

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        names = f"SELECT a.task_id, {_JOINED_NAMES} AS names FROM {_ASSIGNMENTS} IN ({self._ids_sql}) GROUP BY a.task_id"
        return f'LEFT OUTER JOIN ({names}) AS "{JOINED}" ON ("{JOINED}".task_id = "{Task._meta.db_table}"."id")', self._params


def looks_names_up(sql: str) -> bool:
    """Whether a SELECT looks the names up, row by row."""
    return TaskAssignee._meta.db_table in sql


def with_names_joined(tasks: QuerySet[Any, Any], ids_sql: str, params: tuple[Any, ...]) -> QuerySet[Any, Any]:
    """The tasks with names put together once for all tasks whose ids the SELECT gives; PostgreSQL takes a third of the time so."""
    joined = tasks.all()
    joined.query.alias_map[JOINED] = _Joined(ids_sql, params)  # the ORM has no join with a subquery
    joined.query.alias_refcount[JOINED] = 1
    return joined
