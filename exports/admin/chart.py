"""The last days as bars, laid out in numbers for a template's SVG."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exports.services.totals import Day

STEP, BAR, HEIGHT = 30, 20, 96  # a day's room, its bar, and the highest bar
LEAST = 2  # what is there is seen


def bars(days: list[Day]) -> dict[str, Any]:
    """Both charts, of jobs and of rows, over the same days."""
    return {
        "width": STEP * len(days),
        "runs": _columns(days, lambda day: [("ok", day.done), ("bad", day.failed)]),
        "rows": _columns(days, lambda day: [("work", day.rows)]),
        "days": [
            {"day": day, "x": number * STEP + STEP // 2, "done": f"{day.done:,}", "failed": f"{day.failed:,}", "rows": f"{day.rows:,}"}
            for number, day in enumerate(days)
        ],
        "has_any": any(day.done or day.failed for day in days),
        "done": f"{sum(day.done for day in days):,}",
        "failed": f"{sum(day.failed for day in days):,}",
        "exported": f"{sum(day.rows for day in days):,}",
        "most_runs": f"{max(day.done + day.failed for day in days):,}",
        "most_rows": f"{max(day.rows for day in days):,}",
    }


def _columns(days: list[Day], parts: Callable[[Day], list[tuple[str, int]]]) -> list[dict[str, Any]]:
    """A rectangle for each part of a day, one on the other, the first at the bottom."""
    most = max(sum(count for _, count in parts(day)) for day in days) or 1
    found = []
    for number, day in enumerate(days):
        top = HEIGHT
        said = f"{day.day:%a %d %b}: {day.done:,} done, {day.failed:,} failed, {day.rows:,} rows"
        for tone, count in parts(day):
            if count:
                height = max(LEAST, round(count * HEIGHT / most))
                top -= height
                found.append({"x": number * STEP + (STEP - BAR) // 2, "y": top, "height": height, "tone": tone, "said": said})
    return found
