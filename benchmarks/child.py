"""`python -m benchmarks.child COMMAND ARGUMENT…`: one step in a process of its own; its last line is JSON.

`load ROWS MORE` fills the database, `select ROWS` prints our SELECT, `side CASE ROWS FOLDER` runs one side once.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from benchmarks.cases import CASES


def load(rows: str, more: str) -> None:
    """Fills an empty database, or adds `more` tasks to the `rows` it has."""
    django.setup()
    from benchmarks import loading

    loading.load(int(rows), int(more))


def select(rows: str) -> dict[str, Any]:
    """Our SELECT of the first `rows` tasks, for sides that know no Django."""
    django.setup()
    from benchmarks.rows import select

    return select(int(rows))


def side(name: str, rows: str, folder: str) -> dict[str, Any]:
    """One run of one side, as `measuring.Measured`."""
    case = CASES[name]
    if not case.is_plain:
        django.setup()
    # Only this side's module: another's libraries would count into its memory.
    module = importlib.import_module(f"benchmarks.sides.{case.module}")
    path = Path(folder) / "side"
    try:
        return dataclasses.asdict(module.SIDES[name](int(rows), path))
    finally:
        path.unlink(missing_ok=True)


COMMANDS: dict[str, Callable[..., Any]] = {"load": load, "select": select, "side": side}

if __name__ == "__main__":
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
