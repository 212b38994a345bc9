"""The admin's screens of schedules: who sees and changes what, the form and its preview, the ledger, and what other pages hand over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.test import Client

from exports.models import ExportJob, ExportSchedule, Firing
from tasks.models import Organization, User
from tests.scheduling import now

StaffClientOf = Callable[[User], Client]
LIST = "/admin/exports/exportschedule/"
ADD = f"{LIST}add/"
VERBS = ("run", "pause", "resume", "take-over")


def page(schedule: ExportSchedule | int, name: str = "change") -> str:
    return f"{LIST}{schedule.pk if isinstance(schedule, ExportSchedule) else schedule}/{name}/"


def form(**values: Any) -> dict[str, Any]:
    return {
        "name": "Nightly",
        "what": "builtin-basic",
        "rows": "all",
        "window": "yesterday",
        "format": "csv",
        "kind": "daily",
        "clock": "02:30",
        "timezone": "UTC",
        "missed": "latest",
        "overlap": "skip",
        "mail_on": "ends",
    } | values


def kept() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (ExportSchedule, Firing, ExportJob)]


def said(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def test_an_admin_makes_one_and_sees_when_it_runs(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    assert client.get(ADD).status_code == 200
    response = client.post(ADD, form(option_csv_archive="none", kind="monthly", day="31", timezone="Europe/Amsterdam"), follow=True)
    schedule = ExportSchedule.objects.get()
    assert response.redirect_chain == [(page(schedule), 302)]
    assert (schedule.organization, schedule.owner, schedule.kind, schedule.options) == (acme, admin, "monthly", {"archive": "none"})
    assert datetime.fromisoformat(schedule.starts_on_clock).day == 31
    assert schedule.next_run_at
    assert schedule.next_run_at > now()
    text = response.content.decode()
    assert "Every month on the 31st, or on the last day of a shorter month, at 02:30" in text
    assert len(response.context["coming"]) == 5
