"""Jobs and what they leave behind, and what people keep to export by."""

from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner, TickLease, Trigger
from exports.models.saved import ExportConfig
from exports.models.schedules import ExportSchedule, Firing, Kind, Missed, Outcome, Overlap, Segment

__all__ = [
    "Download",
    "ExportConfig",
    "ExportFile",
    "ExportIssue",
    "ExportJob",
    "ExportSchedule",
    "Firing",
    "JobAttempt",
    "JobEvent",
    "Kind",
    "Missed",
    "Outcome",
    "Overlap",
    "Runner",
    "Segment",
    "TickLease",
    "Trigger",
]
