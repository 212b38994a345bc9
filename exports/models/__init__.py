"""Jobs and what they leave behind, and what people keep to export by."""

from exports.models.delivery import Delivery, DeliveryKind, DeliveryState, DeliveryTry, Destination, Event, Webhook
from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, QueueProbe, Runner, TickLease, Trigger
from exports.models.operations import Litter, Operation, Removal, TaskImport, Upload
from exports.models.saved import ExportConfig
from exports.models.schedules import ChangeBase, ExportSchedule, Firing, Kind, MailOn, Missed, Outcome, Overlap, Pause, ScheduleEvent, Segment
from exports.models.totals import DayTotal, KeptTotal

__all__ = [
    "ChangeBase",
    "DayTotal",
    "Delivery",
    "DeliveryKind",
    "DeliveryState",
    "DeliveryTry",
    "Destination",
    "Download",
    "Event",
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
    "MailOn",
    "Missed",
    "Operation",
    "Outcome",
    "Overlap",
    "Pause",
    "QueueProbe",
    "Removal",
    "Runner",
    "ScheduleEvent",
    "Segment",
    "TaskImport",
    "TickLease",
    "Trigger",
    "Upload",
    "Webhook",
]
