"""What schemathesis is told beyond its file of settings: which calls to leave out, and values that the service knows."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

VALUES: dict[str, list[Any]] = json.loads(Path(os.environ["FUZZ_VALUES"]).read_text())
COVERAGE_EVERY = int(os.environ["FUZZ_COVERAGE_EVERY"])
AS_MADE_UP = 8  # one in so many values stays as it was made up, although the service knows no such row or word
# What is refused unless an answer before gave it, as the stateful phase has it; and a key that calls before have used up.
OFTEN_LEFT_OUT = {"Idempotency-Key", "If-Match", "cursor", "version_rev"}
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
    """Puts ids of rows and known words in the place of well-formed but made-up ones, which would all be answered 404 or 400."""
    if case.meta is None or case.meta.phase.name is TestPhase.STATEFUL:
        return case
    # Not at random: hypothesis repeats a call while it looks for a shorter one.
    made_up = repr((case.method, case.path, case.path_parameters, case.query, case.headers, case.body)).encode(errors="surrogatepass")
    scopes = (case.path, case.path.split("/")[2])  # /api/v1/…: the same name means other things elsewhere
    for location, values in (
        (ParameterLocation.PATH, case.path_parameters),
        (ParameterLocation.QUERY, case.query),
        (ParameterLocation.HEADER, case.headers),
        (ParameterLocation.BODY, case.body),
    ):
        component = case.meta.components.get(location)
        if component is not None and component.mode.is_positive:
            _fill(values, scopes, made_up)
    return case


def _fill(values: Any, scopes: tuple[str, ...], made_up: bytes) -> None:
    if isinstance(values, list):
        for value in values:
            _fill(value, scopes, made_up)
    if not hasattr(values, "items"):
        return
    for name, value in list(values.items()):
        known = next((VALUES[key] for key in (*(f"{scope} {name}" for scope in scopes), name) if key in VALUES), None)
        place = zlib.crc32(name.encode(errors="surrogatepass"), zlib.crc32(made_up))
        if place % AS_MADE_UP == 0 or value is None:
            continue
        if name in OFTEN_LEFT_OUT:
            del values[name]
        elif known:
            chosen = known[place // AS_MADE_UP % len(known)]
            # An id is a number here and a text there.
            values[name] = str(chosen) if isinstance(value, str) else chosen
            if name == "file":
                values[name] = chosen.encode("latin-1")
        else:
            _fill(value, scopes, made_up)
