"""Contract 1, export jobs: `/api/v1/export-jobs`."""

from __future__ import annotations

from django.urls import URLPattern

from exports.api.jobs.asking import ExplainView, PreflightView
from exports.api.jobs.direct import DirectCsvView
from exports.api.jobs.external import DoneView, FailedView, InProgressView, ProgressView
from exports.api.jobs.leftovers import DownloadsView, DownloadView, EventsView, IssuesView, PinView, ReceiptKeyView, ReceiptView, send
from exports.api.jobs.listing import JobListView
from exports.api.jobs.single import JobView
from exports.api.jobs.transitions import AgainView, CancelView, RetryView, StartView
from taskexport.api.views import route

_JOBS = "v1/export-jobs"
_ONE = f"{_JOBS}/<str:job_id>"
urlpatterns: list[URLPattern] = [
    *route(_JOBS, JobListView.as_view(), "export-jobs"),
    # Ahead of the jobs, whose ids these names would be.
    *route(f"{_JOBS}/preflight", PreflightView.as_view(), "export-job-preflight"),
    *route(f"{_JOBS}/direct-csv", DirectCsvView.as_view(), "export-direct-csv"),
    *route(_ONE, JobView.as_view(), "export-job"),
    *route(f"{_ONE}/start", StartView.as_view(), "export-job-start"),
    *route(f"{_ONE}/in-progress", InProgressView.as_view(), "export-job-in-progress"),
    *route(f"{_ONE}/progress", ProgressView.as_view(), "export-job-progress"),
    *route(f"{_ONE}/done", DoneView.as_view(), "export-job-done"),
    *route(f"{_ONE}/failed", FailedView.as_view(), "export-job-failed"),
    *route(f"{_ONE}/cancel", CancelView.as_view(), "export-job-cancel"),
    *route(f"{_ONE}/retry", RetryView.as_view(), "export-job-retry"),
    *route(f"{_ONE}/again", AgainView.as_view(), "export-job-again"),
    *route(f"{_ONE}/pin", PinView.as_view(), "export-job-pin"),
    *route(f"{_ONE}/events", EventsView.as_view(), "export-job-events"),
    *route(f"{_ONE}/receipt", ReceiptView.as_view(), "export-job-receipt"),
    *route(f"{_ONE}/issues", IssuesView.as_view(), "export-job-issues"),
    *route(f"{_ONE}/explain", ExplainView.as_view(), "export-job-explain"),
    *route(f"{_ONE}/download", DownloadView.as_view(), "export-job-download"),
    *route(f"{_ONE}/downloads", DownloadsView.as_view(), "export-job-downloads"),
    *route("receipt-key", ReceiptKeyView.as_view(), "receipt-key"),
]

__all__ = ["send", "urlpatterns"]
