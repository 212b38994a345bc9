"""A job's calls of the API, to be pasted into a shell that has a $TOKEN."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from exports.datasets import CONFIGS
from exports.models import ExportJob, Runner
from exports.services import changes

JOBS = "/api/v1/export-jobs"
AUTHORIZATION = '-H "Authorization: Bearer $TOKEN"'  # in double quotes: the shell puts the token in


@dataclass(frozen=True)
class Call:
    """What a call does, and its text."""

    name: str
    label: str
    text: str


def calls(job: ExportJob, site: str) -> list[Call]:
    """The calls that make the same job and read it, and fetch its file; none for a direct export, and none that makes a file of changes,
    which only its schedule can ask for. No token is in them."""
    if job.organization is None or job.runner == Runner.WEB:
        return []
    url = shlex.quote(f"{site}{JOBS}")
    one = shlex.quote(f"{site}{JOBS}/{job.pk}")
    found = [Call("read", "Read this job", f"curl -sS {one} {AUTHORIZATION}")]
    if not changes.is_one(job):
        body = shlex.quote(json.dumps(_wish(job), ensure_ascii=False, indent=2))
        create = f"curl -sS {url} {AUTHORIZATION} -H 'Content-Type: application/json' -d {body}"
        found.insert(0, Call("create", "Make the same export", create))
        found.append(Call("again", "Make this job again", f"curl -sS -X POST {one}/again {AUTHORIZATION}"))
    file = getattr(job, "file", None)
    if file is not None and file.is_present:
        found.append(Call("download", "Fetch its file", f"curl -sS {one}/download {AUTHORIZATION} -o {shlex.quote(file.name)}"))
    return found


def _wish(job: ExportJob) -> dict[str, Any]:
    """The body of a create that leads to the same spec; days that were relative are pinned, as they are in the job."""
    spec = job.spec
    own = {"type": job.type} if spec["config"] in CONFIGS else {"type": "custom", "dataset": spec["dataset"], "columns": spec["columns"]}
    said = {name: spec[name] for name in ("options", "timezone", "date_format", "filter", "sort") if spec.get(name)}
    return {
        "org_id": str(job.organization.uuid) if job.organization else "",
        "org_name": job.org_name,
        "name": job.name,
        **own,
        "creation_start_date": _text(job.creation_start_date),
        "creation_end_date": _text(job.creation_end_date),
        "format": spec["format"],
        **said,
    }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
