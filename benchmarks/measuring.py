"""What a side costs: seconds on the wall, of the processor, and the most memory that its process ever held."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Measured:
    """One run of one side. `idle_mb` is the peak before the run began; only ours says it. `skipped` says why nothing was run."""

    rows: int = 0
    bytes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    idle_mb: float | None = None
    skipped: str = ""


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that the process has held since it began (Linux)."""
    # Not ru_maxrss: that of a child begins with what its parent held.
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def metered(measured: Measured) -> Iterator[None]:
    """Fills in the wall and the processor's time of the body, with that of children it waited for."""
    cpu, began = _cpu_s(), time.perf_counter()
    yield
    measured.wall_s, measured.cpu_s = time.perf_counter() - began, _cpu_s() - cpu


def of(write: Callable[[Path], int], path: Path) -> Measured:
    """One run of a function that writes a file and returns its rows, in this very process."""
    measured = Measured()
    with metered(measured):
        measured.rows = write(path)
    measured.bytes = path.stat().st_size
    measured.peak_mb = peak_mb()
    return measured
