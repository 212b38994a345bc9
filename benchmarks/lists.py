"""`python -m benchmarks.lists --rows N`: how long each list and read takes with so many tasks and as many jobs in one organization.

On a PostgreSQL of its own, through Django's test client: signed in for real, rendered to bytes. Ends with 1 where a median is over its bound.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests import postgres

if TYPE_CHECKING:
    from benchmarks.listcalls import Call

TIMES = 20
SLOW_S, FEW = 2.0, 5  # what takes this long at first is timed a few times only


@dataclass(frozen=True)
class Timed:
    """A call, its medians and maxima in milliseconds, and how many queries it asks."""

    call: Call
    median_ms: float
    most_ms: float
    queries: int

    @property
    def is_over(self) -> bool:
        return self.median_ms > self.call.bound_ms


def measure(call: Call, clients: dict[str, Any], times: int) -> Timed:
    """The call sent once to warm up and to count its queries, and then so many times."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    began = time.perf_counter()
    with CaptureQueriesContext(connection) as queries:
        call.send(clients)
    asked = len(queries)
    if time.perf_counter() - began > SLOW_S:
        times = min(times, FEW)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call.send(clients)
        found.append((time.perf_counter() - began) * 1000)
    return Timed(call, statistics.median(found), max(found), asked)


def table(results: list[Timed]) -> str:
    """The results as a Markdown table."""
    lines = ["| call | median ms | max ms | queries | bound ms | |", "|---|--:|--:|--:|--:|---|"]
    for each in results:
        figures = f"{each.median_ms:.1f} | {each.most_ms:.1f} | {each.queries} | {each.call.bound_ms}"
        lines.append(f"| {each.call.name} | {figures} | {'**over**' if each.is_over else 'ok'} |")
    return "\n".join(lines)


def bench(count: int, times: int, only: str) -> list[Timed]:
    """All calls whose names hold `only`, on an empty database that is filled first."""
    import taskexport.wsgi  # noqa: F401 - everything is loaded as web loads it
    from benchmarks import filling, listcalls

    began = time.monotonic()
    filled = filling.fill(count)
    print(f"{count:,} tasks and {count:,} jobs after {time.monotonic() - began:.0f} s", flush=True)
    clients = listcalls.clients(filled)
    results = []
    for call in listcalls.calls(filled):
        if only in call.name:
            results.append(measure(call, clients, times))
            print(f"  {call.name}: {results[-1].median_ms:.1f} ms", flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-lists", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many tasks, and how many jobs")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each call is timed")
    parser.add_argument("--only", default="", help="a part of the calls' names")
    options = parser.parse_args()
    if options.rows < 1000:
        parser.error("--rows: write a number from 1000 upwards")
    with postgres.running() as url, tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = {
            "TASKEXPORT_ENV": "development",
            "DJANGO_SETTINGS_MODULE": "taskexport.settings",
            "LOG_LEVEL": "ERROR",
            "THROTTLE_USER": "1000000/min",
        }
        os.environ |= settings | {"VAR": folder, "DATABASE_URL": url, "ALLOWED_HOSTS": "testserver"}
        results = bench(options.rows, options.times, options.only)
    print(f"\nMedians of {options.times}, Python {platform.python_version()}, {os.cpu_count()} processors.\n\n{table(results)}")
    return int(any(each.is_over for each in results))


if __name__ == "__main__":
    sys.exit(main())
