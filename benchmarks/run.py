"""`python -m benchmarks.run --rows N [--growth] [--only CASE,CASE]`: all sides in turn, three rounds, on databases of their own."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES, Case
from benchmarks.measuring import Measured
from benchmarks.report import Result
from taskexport.processes import ROOT
from tests import postgres

ROUNDS = 3
PEER_SECONDS = 60  # a peer that takes longer runs at a tenth of the rows
ONCE_SECONDS = 180  # a side that takes longer still is not run again
SIDE_SECONDS = 1800
LOAD_SECONDS = 3600
GROWTH = 5  # times the rows
TIES = 10  # tasks of one instant stay together, so a part may lack some

HOW = f"""Medians of {ROUNDS} runs in turn (one for a side over {ONCE_SECONDS} s), 23 columns with five joins, ours from claim to publish.
Processor's time and memory are those of the side's own process, not the database server's."""


class Failed(Exception):
    """A side or the loading broke off; the message says why."""


@dataclass
class Bench:
    """The databases with `total` tasks each, and where sides may write."""

    folder: Path
    urls: dict[str, str]
    total: int
    report: Path
    results: list[Result] = field(default_factory=list)
    is_broken: bool = False
    skipped: set[str] = field(default_factory=set)

    def load(self, databases: Iterable[str], more: int = 0) -> None:
        """Fills the databases, or adds `more` tasks. Raises Failed."""
        for database in sorted(databases):
            began = time.monotonic()
            self._child(database, LOAD_SECONDS, "load", str(self.total), str(more))
            say(f"{self.total + more:,} tasks are in {database} after {time.monotonic() - began:.0f} s")
        self.total += more

    def measure(self, case: Case, rows: int) -> Measured | None:
        """One run of one side; None where it was skipped or failed, which is said."""
        if case.name in self.skipped:
            return None
        try:
            line = self._child(case.database, SIDE_SECONDS, "side", case.name, str(rows), str(self.folder))
            measured = Measured(**json.loads(line))
            lacking = rows - measured.rows
            if not measured.skipped and not 0 <= lacking <= (TIES if rows < self.total else 0):
                raise Failed(f"it wrote {measured.rows} rows, not {rows}")
        except Failed as failure:
            say(f"  {case.name}: FAILED: {failure}")
            self.is_broken = True
            self.skipped.add(case.name)
            return None
        if measured.skipped:
            say(f"  {case.name}: skipped, {measured.skipped}")
            self.skipped.add(case.name)
            return None
        say(f"  {case.name}: {measured.rows:,} rows, {measured.wall_s:.2f} s, {measured.peak_mb:.0f} MB")
        return measured

    def rounds(self, cases: list[Case], rows: int) -> None:
        """All cases in turn, again and again; the report has each round as soon as it is over."""
        results = {case.name: Result(case, rows, rows) for case in cases}
        for result in results.values():
            result.base = results[result.case.base]
        before = self.results
        for number in range(1, ROUNDS + 1):
            say(f"{rows:,} rows, round {number} of {ROUNDS}")
            for result in results.values():
                self._turn(result, number)
            self.results = before + [result for result in results.values() if result.runs]
            report.write(self.results, self.report)

    def _turn(self, result: Result, number: int) -> None:
        if any(run.wall_s > ONCE_SECONDS for run in result.runs):
            return
        if number == 1 and result.case.is_peer and result.rows >= 10:
            result.part = result.rows // 10
        measured = self.measure(result.case, result.part)
        if measured and number == 1 and result.part < result.rows and measured.wall_s * result.rows / result.part <= PEER_SECONDS:
            result.part = result.rows  # quick enough for all of them
            measured = self.measure(result.case, result.part)
        if measured:
            result.runs.append(measured)

    def _child(self, database: str, seconds: int, *arguments: str) -> str:
        """The last line of `benchmarks.child` with these arguments on this database. Raises Failed."""
        settings = {"TASKEXPORT_ENV": "development", "DJANGO_SETTINGS_MODULE": "taskexport.settings", "LOG_LEVEL": "WARNING"}
        env = {**os.environ, **settings, "VAR": str(self.folder / "service"), "DATABASE_URL": self.urls[database]}
        command = [sys.executable, "-m", "benchmarks.child", *arguments]
        try:
            done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{arguments[0]} took more than {seconds} s") from None
        if done.returncode:
            raise Failed(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return done.stdout.strip().rpartition("\n")[2]


def say(text: str) -> None:
    print(text, flush=True)


def chosen(only: str) -> list[Case]:
    """The named cases and what their ratios are to; all for an empty text. Raises SystemExit."""
    names = [name.strip() for name in only.split(",") if name.strip()] or list(CASES)
    if unknown := [name for name in names if name not in CASES]:
        raise SystemExit(f"There is no case {', '.join(unknown)}. There are: {', '.join(CASES)}")
    needed = {*names, *(CASES[name].base for name in names)}
    return [case for case in CASES.values() if case.name in needed]


def fill_in(bench: Bench, cases: list[Case], *, growth: bool) -> None:
    """Loads, and measures all sides; ours at a tenth and five times the rows too for `growth`. Raises Failed."""
    rows = bench.total
    databases = {case.database for case in cases}
    bench.load(databases)
    bench.rounds(cases, rows)
    if growth:
        growing = [case for case in cases if not case.is_peer]
        bench.rounds(growing, rows // 10)
        bench.load(databases, more=(GROWTH - 1) * rows)
        bench.rounds(growing, bench.total)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many tasks there are")
    parser.add_argument("--growth", action="store_true", help="ours also at a tenth and at five times the rows")
    parser.add_argument("--only", default="", help="cases by name, with commas; what their ratios are to is added")
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows: write a number from 1 upwards")
    cases = chosen(options.only)
    var = Path(os.environ.get("VAR") or ROOT / "var").expanduser().resolve()
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    began, load = time.monotonic(), os.getloadavg()[0]
    broken = 0
    with tempfile.TemporaryDirectory(prefix="bench-", dir=var) as folder, postgres.running() as url:
        bench = Bench(Path(folder), {"postgres": url, "sqlite": f"sqlite:///{folder}/bench.sqlite3"}, options.rows, var / "bench.json")
        try:
            fill_in(bench, cases, growth=options.growth)
        except Failed as failure:
            print(failure, file=sys.stderr)
            broken = 1
        except KeyboardInterrupt:
            broken = 130
    machine = f"{os.cpu_count()} processors (load {load:.1f} before)"
    say(f"\n{HOW}\nPython {platform.python_version()}, {machine}, {time.monotonic() - began:.0f} s in all.\n")
    say(report.table(bench.results))
    if bench.results:
        say(f"\n{bench.report} has the same figures.")
    return broken or int(bench.is_broken)


if __name__ == "__main__":
    sys.exit(main())
