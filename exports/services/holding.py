"""Saved configs, segments and destinations held while something comes to use them."""

from __future__ import annotations

from typing import Any

from exports.models import Destination, ExportConfig, Segment
from taskexport.errors import Conflict, NotFound

WORDS: dict[type, str] = {ExportConfig: "config", Segment: "segment", Destination: "destination"}


def hold(*used: ExportConfig | Segment | Destination | None) -> None:
    """Locks them, as they were read, until the transaction ends: whoever changes or deletes one meanwhile waits, and then finds what uses it.

    Raises NotFound where one has gone, Conflict where one was changed.
    """
    for one in used:
        if one is None:
            continue
        rows: Any = type(one)._default_manager.filter(pk=one.pk)
        version = rows.select_for_update(no_key=True).values_list("version", flat=True).first()
        word = WORDS[type(one)]
        if version is None:
            raise NotFound(f"The {word} has just been deleted; choose another.")
        if version != one.version:
            raise Conflict(f"The {word} has just been changed; look at it, and save again.", code="busy")
