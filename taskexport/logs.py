"""Log lines as JSON: one object a line, with time, level, logger, event and the ids that were bound; nothing that people wrote."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from typing import Any

import structlog


def json_formatter() -> logging.Formatter:
    """A formatter for stdlib and structlog records alike."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_private_parts,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
    )


_LINK = re.compile(r"/d/[^/\s?]+")
_QUERY = re.compile(r"(/[^\s?]*)\?\S+")
# django-q2 writes whole tracebacks into its lines.
_TRACE = re.compile(r" - .*? : Traceback \(most recent call last\):\n", re.DOTALL)
_STEP = re.compile(r'^  File "(?:.*/)?([^/"]+/[^/"]+)", line (\d+).*\n', re.MULTILINE)


def _without_private_parts(logger: Any, method: str, line: Any) -> Any:
    # A link's token opens a file for an hour, a query has names of people, and a traceback has messages and local values.
    line.pop("request", None)
    line |= _untraced(str(line["event"]))
    line["event"] = _QUERY.sub(r"\1?…", _LINK.sub("/d/…", line["event"]))
    found = line.pop("exc_info", None)
    error = found if isinstance(found, BaseException) else found[1] if isinstance(found, tuple) else sys.exc_info()[1] if found else None
    return line | {"where": where(error)} if error else line


def _untraced(event: str) -> dict[str, str]:
    """The event; of one with a traceback in it what stands before that, and `where` as below."""
    trace = _TRACE.search(event)
    if trace is None:
        return {"event": event}
    steps = list(_STEP.finditer(event, trace.end()))
    last = event[steps[-1].end() :] if steps else ""
    kind = next((text.partition(":")[0].rpartition(".")[2] for text in last.splitlines() if text[:1].strip()), "error")
    return {"event": event[: trace.start()], "where": _passed(kind, [f"{step[1]}:{step[2]}" for step in steps])}


def where(error: BaseException) -> str:
    """An error's type and the lines it passed, innermost last, without its message: messages may quote people's data."""
    lines = [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return _passed(type(error).__name__, lines)


def _passed(kind: str, lines: list[str]) -> str:
    return f"{kind} at {' > '.join(lines[-6:])}"
