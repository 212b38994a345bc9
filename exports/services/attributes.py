"""The organization's own attributes: which keys its tasks have."""

from __future__ import annotations

from django.db import connection

from exports.datasets.declared import ATTRIBUTES, KEY_LENGTH
from tasks.models import Organization, Task

# Whatever is no object has no keys.
_KEYS = {
    "postgresql": "jsonb_object_keys(CASE WHEN jsonb_typeof(attributes) = 'object' THEN attributes ELSE '{}' END) AS own(key)",
    "sqlite": "json_each(CASE WHEN json_type(attributes) = 'object' THEN attributes ELSE '{}' END) AS own",
}


def keys(organization: Organization) -> list[str]:
    """The attribute keys of all of the organization's tasks that a column can have, by their characters."""
    sql = f"SELECT DISTINCT own.key FROM {Task._meta.db_table}, {_KEYS[connection.vendor]} WHERE organization_id = %s"  # noqa: S608 - names of ours
    with connection.cursor() as cursor:
        cursor.execute(sql, [organization.pk])
        found = [key for (key,) in cursor.fetchall()]
    return sorted(key for key in found if 0 < len(key) <= KEY_LENGTH - len(ATTRIBUTES))


def exists(organization: Organization, key: str) -> bool:
    """Whether a task of the organization has this attribute."""
    # Django's has_key makes a path of the key on SQLite, which some keys break.
    has = "attributes ? %s" if connection.vendor == "postgresql" else f"EXISTS (SELECT 1 FROM {_KEYS['sqlite']} WHERE own.key = %s)"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {Task._meta.db_table} WHERE organization_id = %s AND {has} LIMIT 1", [organization.pk, key])  # noqa: S608
        return cursor.fetchone() is not None
