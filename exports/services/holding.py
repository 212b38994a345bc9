"""Saved configs and segments held while something comes to use them."""

from __future__ import annotations

from typing import Any

from exports.models import ExportConfig, Segment
from taskexport.errors import Conflict, NotFound


def hold(*used: ExportConfig | Segment | None) -> None:
    """Locks them, as they were read, until the transaction ends: whoever changes or deletes one meanwhile waits, and then finds what uses it.

    Raises NotFound where one has gone, Conflict where one was changed.
    """
    for one in used:
        if one is None:
            continue
        rows: Any = type(one)._default_manager.filter(pk=one.pk)
        version = rows.select_for_update(no_key=True).values_list("version", flat=True).first()
        word = "config" if isinstance(one, ExportConfig) else "segment"
        if version is None:
            raise NotFound(f"The {word} has just been deleted; choose another.")
        if version != one.version:
            raise Conflict(f"The {word} has just been changed; look at it, and save again.", code="busy")
