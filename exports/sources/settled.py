"""Up to when creation times are settled: no row that is still to be committed says an earlier one."""

from __future__ import annotations

from datetime import datetime

from django.db import connections

from exports.sources.postgres import READER
from exports.sources.query import ALIAS


def settled_until() -> datetime | None:
    """When the oldest transaction began that may still be writing; None where there is none.

    A row is created at the moment when its transaction began, and seen once that is committed. On SQLite nobody writes beside
    whoever holds the lock, and that is who asks.
    """
    if connections[ALIAS].vendor != "postgresql":
        return None
    with connections[ALIAS].cursor() as cursor:
        # Of sessions of other roles nothing is known; the service has one role. Whoever has not written yet still may.
        cursor.execute(
            "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND application_name <> %s",
            [READER],
        )
        found: datetime | None = cursor.fetchone()[0]
        return found
