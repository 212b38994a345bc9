"""Our export, from the claim of a queued job to its published file on disk storage."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.measuring import Measured, metered, peak_mb
from exports import storage
from exports.formats import FORMATS
from exports.services import jobs, runner


def export(format_name: str, options: dict[str, Any], count: int, _: Path) -> Measured:
    """One job over the first `count` tasks. Raises RuntimeError unless it is done and whole."""
    if format_name not in FORMATS:
        return Measured(skipped=f"there is no format {format_name} yet")
    user = rows.user()
    job = jobs.create(user, rows.organization(), rows.wish(count, format=format_name, options=options))
    jobs.start(user, job)
    measured = Measured(idle_mb=peak_mb())
    with metered(measured):
        claim = jobs.claim("bench")
        if claim is None or claim.job.pk != job.pk:
            raise RuntimeError("another job waits")
        runner.run(claim)
    measured.peak_mb = peak_mb()
    job = jobs.get(user, job.pk)
    if job.status != "done":
        raise RuntimeError(f"the job is {job.status}: {job.error}")
    measured.rows, measured.bytes = job.file.rows, job.file.size
    storage.delete(job.file.key)
    return measured


SIDES = {
    "csv.zip": partial(export, "csv", {"archive": "zip"}),
    "json": partial(export, "json", {}),
    "ndjson.gz": partial(export, "ndjson", {"archive": "gz"}),
    "xlsx": partial(export, "xlsx", {}),
    "parquet": partial(export, "parquet", {}),
    "sqlite-csv.zip": partial(export, "csv", {"archive": "zip"}),
}
