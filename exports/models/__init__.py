"""Jobs and what they leave behind, and what people keep to export by."""

from exports.models.delivery import Delivery, DeliveryState
from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, QueueProbe, Runner, TickLease, Trigger
from exports.models.operations import Litter, Operation, Removal, TaskImport, Upload
from exports.models.saved import ExportConfig
from exports.models.schedules import ExportSchedule, Firing, Kind, Missed, Outcome, Overlap, Segment
from exports.models.totals import DayTotal, KeptTotal

__all__ = [
    "DayTotal",
    "Delivery",
    "DeliveryState",
    "Download",
    "ExportConfig",
    "ExportFile",
    "ExportIssue",
    "ExportJob",
    "ExportSchedule",
    "Firing",
    "JobAttempt",
    "JobEvent",
    "KeptTotal",
    "Kind",
    "Litter",
    "Missed",
    "Operation",
    "Outcome",
    "Overlap",
    "QueueProbe",
    "Removal",
    "Runner",
    "Segment",
    "TaskImport",
    "TickLease",
    "Trigger",
    "Upload",
]
