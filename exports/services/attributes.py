"""The organization's own attributes: which keys its tasks have."""

from __future__ import annotations

from django.db import connection

from exports.datasets.declared import ATTRIBUTES, KEY_LENGTH
from tasks.models import Organization, Task

TASKS = Task._meta.db_table
MOST_SHAPES = 2_000  # beyond, one look at every task is quicker than so many into the index
# Whatever is no object has no keys.
_KEYS = {
    "postgresql": "jsonb_object_keys(CASE WHEN jsonb_typeof(attributes) = 'object' THEN attributes ELSE '{}' END) AS own(key)",
    "sqlite": "json_each(CASE WHEN json_type(attributes) = 'object' THEN attributes ELSE '{}' END) AS own",
}
# Tasks with the same keys have the same shape. One task of each is found by steps through the index task_by_shape.
_SHAPE = "md5(jsonb_path_query_array(attributes, 'strict $.keyvalue().key', '{}', true)::text)"
_ONE = f"SELECT {_SHAPE} AS shape, attributes FROM {TASKS} WHERE organization_id = %(organization)s"  # noqa: S608 - names of ours
_SHAPES = f"""
WITH RECURSIVE shapes AS (
  ({_ONE} ORDER BY {_SHAPE} LIMIT 1)
  UNION ALL
  SELECT behind.* FROM shapes, LATERAL ({_ONE} AND {_SHAPE} > shapes.shape ORDER BY {_SHAPE} LIMIT 1) AS behind
), found AS (SELECT attributes FROM shapes LIMIT {MOST_SHAPES})
SELECT ARRAY(SELECT key FROM {_KEYS["postgresql"]}) FROM found"""  # noqa: S608


def keys(organization: Organization) -> list[str]:
    """The attribute keys of all of the organization's tasks that a column can have, by their characters."""
    return sorted(key for key in _known(organization) if 0 < len(key) <= KEY_LENGTH - len(ATTRIBUTES))


def _known(organization: Organization) -> set[str]:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_SHAPES, {"organization": organization.pk})
            found = cursor.fetchall()
            if len(found) < MOST_SHAPES:
                return {key for (own,) in found for key in own}
        cursor.execute(f"SELECT DISTINCT own.key FROM {TASKS}, {_KEYS[connection.vendor]} WHERE organization_id = %s", [organization.pk])  # noqa: S608
        return {key for (key,) in cursor.fetchall()}
