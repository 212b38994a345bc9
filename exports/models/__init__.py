"""Jobs and what they leave behind."""

from exports.models.jobs import Download, ExportFile, ExportIssue, ExportJob, JobAttempt, JobEvent, Runner, TickLease, Trigger

__all__ = ["Download", "ExportFile", "ExportIssue", "ExportJob", "JobAttempt", "JobEvent", "Runner", "TickLease", "Trigger"]
