"""What schemathesis is told beyond its file of settings: which of its calls to leave out, and the ids of rows that there are."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

IDS: dict[str, list[Any]] = json.loads(Path(os.environ["FUZZ_IDS"]).read_text())
COVERAGE_EVERY = int(os.environ["FUZZ_COVERAGE_EVERY"])
AS_MADE_UP = 8  # one in so many calls keeps the id that was made up, which no row has
_seen = 0


@schemathesis.hook
def filter_case(context: Any, case: schemathesis.Case) -> bool:
    """Drops all but one in COVERAGE_EVERY calls of the phase that lists every edge of the document."""
    global _seen
    if case.meta is None or case.meta.phase.name is not TestPhase.COVERAGE:
        return True
    _seen += 1
    return _seen % COVERAGE_EVERY == 0


@schemathesis.hook
def map_case(context: Any, case: schemathesis.Case) -> schemathesis.Case:
    """Puts ids of rows in the place of made-up ones that are well formed: else nearly every answer would be 404."""
    if case.meta is None or case.meta.phase.name is TestPhase.STATEFUL:  # whose ids come from the answers before
        return case
    # Not at random: hypothesis repeats a call while it looks for a shorter one.
    place = zlib.crc32(repr((case.method, case.path, case.path_parameters, case.query, case.body)).encode(errors="surrogatepass"))
    if place % AS_MADE_UP == 0:
        return case
    kind = case.path.split("/")[2]  # /api/v1/tasks: a task_id is not the same everywhere
    for location, container in (
        (ParameterLocation.PATH, case.path_parameters),
        (ParameterLocation.QUERY, case.query),
        (ParameterLocation.HEADER, case.headers),
        (ParameterLocation.BODY, case.body),
    ):
        component = case.meta.components.get(location)
        if component is not None and component.mode.is_positive:
            _fill(container, kind, place // AS_MADE_UP)
    return case


def _fill(container: Any, kind: str, place: int) -> None:
    if isinstance(container, list):
        for value in container:
            _fill(value, kind, place)
    elif hasattr(container, "items"):
        for name, value in list(container.items()):
            known = IDS.get(f"{kind} {name}") or IDS.get(name)
            if known and not isinstance(value, dict | list):
                chosen = known[place % len(known)]
                container[name] = str(chosen) if isinstance(value, str) else chosen
            else:
                _fill(value, kind, place)
