"""Medians, ratios, the file for machines and the table for people."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.measuring import Measured


@dataclass
class Result:
    """A case at a number of rows, with its runs; `part` of the rows was run where that is less."""

    case: Case
    rows: int
    part: int
    runs: list[Measured] = field(default_factory=list)
    base: Result | None = None

    def _median(self, name: str) -> float:
        return statistics.median(getattr(run, name) for run in self.runs)

    @property
    def wall_s(self) -> float:
        """Median seconds, scaled up to all rows."""
        return self._median("wall_s") * self.rows / self.part

    @property
    def cpu_s(self) -> float:
        return self._median("cpu_s") * self.rows / self.part

    @property
    def peak_mb(self) -> float:
        """Median of the peaks, as it was: memory is not scaled."""
        return self._median("peak_mb")

    @property
    def idle_mb(self) -> float | None:
        return None if self.runs[0].idle_mb is None else self._median("idle_mb")

    @property
    def mb(self) -> float:
        return self._median("bytes") * self.rows / self.part / 1e6

    @property
    def ratio(self) -> float | None:
        """Seconds to those of the base in this very run; None where the base has none."""
        return self.wall_s / self.base.wall_s if self.base and self.base.runs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.case.name,
            "rows": self.rows,
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "peak_mb": round(self.peak_mb, 1),
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "scaled_from": self.part if self.part < self.rows else None,
        }


def write(results: Iterable[Result], path: Path) -> None:
    """The results as a JSON list."""
    path.write_text(json.dumps([result.to_json() for result in results], indent=1) + "\n")


def table(results: Iterable[Result]) -> str:
    """The results as a Markdown table."""
    lines = ["| case | rows | seconds | CPU s | peak MB | file MB | ratio | runs |", "|---|--:|--:|--:|--:|--:|--:|---|"]
    for result in results:
        peak = f"{result.peak_mb:,.0f}" + ("" if result.idle_mb is None else f" (idle {result.idle_mb:,.0f})")
        ratio = "" if result.ratio is None else f"{result.ratio:.2f} × {result.case.base}"
        runs = f"{len(result.runs)}" + (f", of {result.part:,} rows, seconds scaled" if result.part < result.rows else "")
        figures = f"{result.rows:,} | {result.wall_s:,.2f} | {result.cpu_s:,.2f} | {peak} | {result.mb:,.0f} | {ratio} | {runs}"
        lines.append(f"| `{result.case.name}` | {figures} |")
    return "\n".join(lines)
