"""Exports that begin elsewhere: one that repeats, from its form to its first run, and one of what a list of tasks holds."""

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
    # Whoever goes on and comes back finds it as it was, with the fields that the choices need.
    page.get_by_role("link", name="Home").first.click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Repeats")).to_have_value("weekly")
    expect(page.get_by_label("Day of the week")).to_be_visible()
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


def test_a_filtered_list_of_tasks_is_exported(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto("/admin/tasks/task/")
    page.get_by_role("searchbox", name="Search").fill("demo-00001")
    page.get_by_role("button", name="Find").click()
    filters = page.get_by_role("navigation", name="Filters")
    filters.get_by_text("Status", exact=True).click()
    filters.get_by_role("link", name="Complete").click()
    page.get_by_role("link", name="Export these").click()

    expect(page.get_by_role("heading", name="New export")).to_be_visible()
    wanted = Task.objects.filter(organization=acme(), status=TaskStatus.COMPLETE, external_id__startswith="demo-00001")
    assert wanted.count() > 10
    expect(page.get_by_role("definition").filter(has_text=re.compile(f"^{wanted.count()}$"))).to_be_visible()
    page.get_by_label("Start from").select_option("basic")
    page.get_by_label("Format").select_option("xlsx")
    page.get_by_role("button", name="Create and start").click()
    sheet = downloaded(page, press(page.get_by_role("link", name="Download", exact=True))).worksheets[0]
    place = [cell.value for cell in sheet[1]].index("reference")
    # In the list's order: the newest first.
    assert [row[place] for row in sheet.iter_rows(min_row=2, values_only=True)] == list(
        wanted.order_by("-created_at", "-pk").values_list("external_id", flat=True)
    )
