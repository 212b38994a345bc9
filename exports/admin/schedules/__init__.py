"""Schedules: the list, the form with its preview, one schedule's page with its ledger, and its buttons.

How other pages hand an export over to a new schedule ("Repeat this…") is told in `prefill`.
"""

from exports.admin.schedules.screens import ExportScheduleAdmin

__all__ = ["ExportScheduleAdmin"]
