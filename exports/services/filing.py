"""The row and the receipt of an attempt's file, whoever made it: a worker, a direct export's request, or an external runner."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exports.datasets import Spec
from exports.models import ExportFile
from exports.services import receipts, specs
from exports.services.jobs import Claim


def facts(claim: Claim, spec: Spec, name: str, size: int, sha256: str, rows: int) -> dict[str, Any]:
    """What every file's receipt says, not yet signed; whoever made the file adds what is known of it alone."""
    job = claim.job
    return {
        "receipt_version": receipts.RECEIPT_VERSION,
        "job": str(job.pk),
        "attempt": claim.attempt.number,
        "organization": str(job.organization.uuid) if job.organization else None,
        "requested_by": job.created_by_id,
        "file": name,
        "format": spec.format,
        "size": size,
        "sha256": sha256,
        "rows_written": rows,
        "filter_in_words": specs.in_words(spec),
        "spec": spec.to_json(),
        "spec_version": spec.spec_version,
        "timezone": spec.timezone,
    }


def row(claim: Claim, receipt: dict[str, Any], key: str, content_type: str, expires_at: datetime) -> ExportFile:
    """The file's row, not yet saved, with its receipt signed: the two say the same."""
    return ExportFile(
        job=claim.job,
        attempt=claim.attempt.number,
        key=key,
        name=receipt["file"],
        content_type=content_type,
        size=receipt["size"],
        sha256=receipt["sha256"],
        rows=receipt["rows_written"],
        receipt=receipts.sign(receipt),
        expires_at=expires_at,
    )
