"""Jobs and what they leave behind."""

from exports.models.delivery import Delivery, DeliveryState
from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner, TickLease, Trigger
from exports.models.operations import Litter, Operation, Removal, TaskImport, Upload
from exports.models.saved import ExportConfig

__all__ = [
    "Delivery",
    "DeliveryState",
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
