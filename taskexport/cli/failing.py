"""How a command ends: exit codes that a script can use."""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    USAGE = 2
    NOT_SIGNED_IN = 3
    REFUSED = 4
    NOT_FOUND = 5
    JOB_FAILED = 6
    NETWORK = 7
    CHECKSUM = 8
    INTERRUPTED = 130


class Failure(Exception):
    """The command ends here, with this code and a sentence; `body` is the service's own answer, if it gave one."""

    def __init__(self, exit_code: Exit, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.exit_code, self.message, self.body = exit_code, message, body
