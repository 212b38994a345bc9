"""Shortcuts to change exports for tests: runs delivered by real workers' code, their files read, and applied as an integrator would."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import openpyxl
from pyarrow import parquet

from exports import sources, storage
from exports.formats import FORMATS
from exports.formats.base import Target
from exports.formats.issues import Issues
from exports.models import ExportFile, ExportJob, ExportSchedule, Trigger
from exports.services import jobs, runner
from exports.services.schedules import firing, runs, settling
from tests.scheduling import now

Rows = dict[int, dict[str, Any]]  # by id


def queue(schedule: ExportSchedule) -> ExportJob:
    """A queued job of the schedule's, beside whatever else runs of it."""
    schedule = ExportSchedule.objects.get(pk=schedule.pk)
    assert schedule.owner
    job = jobs.create(schedule.owner, schedule.organization, runs.wish_of(schedule, now()), trigger=Trigger.SCHEDULE)
    jobs.start(schedule.owner, job)
    return job


def deliver(schedule: ExportSchedule) -> ExportFile:
    """Runs the schedule to its end; the file."""
    assert schedule.owner
    run = firing.execute(schedule.owner, ExportSchedule.objects.get(pk=schedule.pk))
    claim = jobs.claim("w")
    assert claim
    assert claim.job == run.job
    runner.run(claim)
    settling.settle(schedule.pk)
    job = ExportJob.objects.select_related("file").get(pk=claim.job.pk)
    assert (job.status, job.error) == ("done", "")
    return job.file


def said(file: ExportFile) -> dict[str, Any]:
    """What its receipt says of the changes."""
    return dict(file.receipt["receipt"]["changes"])


def records(file: ExportFile) -> list[dict[str, Any]]:
    """The file's rows, in their order; what is empty is None."""
    with storage.open_file(file.key) as stored:
        data = stored.read()
    return [_bare(row) for row in _read(file.name, data)]


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {title: None if cell == "" else cell for title, cell in row.items()}


def _read(name: str, data: bytes) -> list[dict[str, Any]]:
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [row for member in sorted(archive.namelist()) for row in _read(member, archive.read(member))]
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    if name.endswith(".ndjson"):
        return [json.loads(line) for line in data.decode().split("\n") if line]
    if name.endswith(".json"):
        return list(json.loads(data))
    if name.endswith(".parquet"):
        return list(parquet.read_table(io.BytesIO(data)).to_pylist())
    header, *rows = openpyxl.load_workbook(io.BytesIO(data))["Tasks"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def applied(rows: Rows, file: ExportFile, key: str = "id") -> Rows:
    """The rows as they are once the file was applied to them; each of its words must fit what is there."""
    found = dict(rows) if said(file)["mode"] == "changes" else {}
    for record in records(file):
        change, row_id = record.pop("_change"), int(record[key])
        assert (row_id in found) == (change != "added"), (change, row_id)
        if change in {"added", "changed"}:
            assert found.get(row_id) != record
            found[row_id] = record
        else:
            assert [value for title, value in record.items() if title != key and value is not None] == []
            del found[row_id]
    return found


def whole(schedule: ExportSchedule, key: str = "id") -> Rows:
    """The rows that a whole file of the schedule has now."""
    schedule = ExportSchedule.objects.get(pk=schedule.pk)
    schedule.changes_only = False
    spec = runs.wish_of(schedule, now()).spec
    format_ = FORMATS[spec.format]
    query = sources.compile_query(spec, [schedule.organization_id])
    with sources.snapshot(format_.style(spec)) as snapshot:
        rows = snapshot.count(query)
        data = b"".join(format_.write(snapshot, query, spec, Target(rows, "whole", now(), Issues(rows))))
    return {int(record[key]): _bare(record) for record in _read(f"whole.{format_.extension(spec.options, rows)}", data)}
