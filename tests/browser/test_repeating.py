"""An export that repeats, from a new export's page to its first run; and what is exported from a list of tasks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from exports.models import ExportSchedule
from tasks.models import Task, TaskStatus
from tests.browser.conftest import OpenAs
from tests.browser.people import acme, user_of
from tests.browser.reading import downloaded, press

pytestmark = pytest.mark.serial
pytest.importorskip("exports.admin.schedules")  # until the screens are here


def test_an_export_is_scheduled_and_run_now(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto("/admin/exports/exportjob/add/")
    page.get_by_label("Name of the export").fill("Every Monday")
    page.get_by_label("Format").select_option("xlsx")
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Value", exact=True).fill("complete")
    page.get_by_role("button", name="Repeat this…").click()

    expect(page.get_by_label("Name")).to_have_value("Every Monday")
    expect(page.get_by_label("Format")).to_have_value("xlsx")
    page.get_by_label("Repeats").select_option("weekly")
    page.get_by_label("Day of the week").select_option("Monday")
    page.get_by_label(re.compile("^Time:?$")).fill("06:30")
    page.get_by_label("Period").select_option("all")
    coming = page.get_by_role("complementary").filter(has_text="Next runs").get_by_role("listitem")
    expect(coming).to_have_count(5)
    expect(coming.first).to_contain_text("06:30")
    page.get_by_role("button", name="Save schedule").click()

    expect(page.get_by_role("heading", name="Every Monday")).to_be_visible()
    schedule = ExportSchedule.objects.get(name="Every Monday")
    assert (schedule.owner, schedule.organization, schedule.kind, schedule.starts_on_clock[11:16]) == (user_of("admin"), acme(), "weekly", "06:30")
    assert schedule.next_run_at
    assert schedule.next_run_at.weekday() == 0
    page.get_by_role("button", name="Run now").click()
    page.get_by_role("link", name="Open").first.click()
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    book = downloaded(page, press(page.get_by_role("link", name="Download", exact=True)))
    assert book.worksheets[0].max_row == Task.objects.filter(organization=acme(), status=TaskStatus.COMPLETE).count() + 1
    page.goto(f"/admin/exports/exportschedule/{schedule.pk}/change/")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
