"""Jobs and what they leave behind."""

from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner, TickLease, Trigger
from exports.models.operations import Litter, Operation, Removal, TaskImport, Upload
from exports.models.saved import ExportConfig

__all__ = [
    "Download",
    "ExportConfig",
    "ExportFile",
    "ExportIssue",
    "ExportJob",
    "JobAttempt",
    "JobEvent",
    "Litter",
    "Operation",
    "Removal",
    "Runner",
    "TaskImport",
    "TickLease",
    "Trigger",
    "Upload",
]
