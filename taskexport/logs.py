"""Log lines as JSON: one object a line, with time, level, logger, event and the ids that were bound."""

from __future__ import annotations

import logging
import traceback

import structlog


def json_formatter() -> logging.Formatter:
    """A formatter for stdlib and structlog records alike."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.dict_tracebacks,
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


def where(error: BaseException) -> str:
    """An error's type and the lines it passed, innermost last, without its message: messages may quote people's data."""
    lines = [
        f"{frame.filename.rsplit('/', 2)[-2]}/{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return f"{type(error).__name__} at {' > '.join(lines[-6:])}"
