"""A new export on its page: by mouse, and by the keyboard alone."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from playwright.sync_api import Page, expect

from exports.models import ExportJob
from exports.services import configs
from exports.states import JobStatus
from tasks import demo_people
from tasks.models import Task, TaskStatus
from tests.browser.conftest import OpenAs
from tests.browser.people import acme, user_of
from tests.browser.reading import downloaded, press
from tests.browser.site import Site
from tests.making import make_queued

pytestmark = pytest.mark.serial
JOBS = "/admin/exports/exportjob/"
NEW = f"{JOBS}add/"
MOST_TABS = 150
# What the eye follows: an outline or a ring around the element that has the focus.
IS_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
}"""
NAME = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || [...(one.labels ?? [])].map((label) => label.textContent).join(" ").trim() || one.textContent.trim();
}"""


def completed() -> int:
    return Task.objects.filter(organization=acme(), status=TaskStatus.COMPLETE).count()


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until whatever has this name has the focus; all that has it on the way must be seen to."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        assert page.evaluate(IS_SEEN), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if re.search(name, page.evaluate(NAME)):
            return
    pytest.fail(f"{name} is not reached by Tab")


def titles(page: Page) -> list[str]:
    """The titles of the chosen columns, in their order."""
    return [field.input_value() for field in page.get_by_label(re.compile("^Title of ")).all()]


def test_three_renamed_columns_and_a_condition_by_mouse(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto(NEW)
    page.get_by_label("Name of the export").fill("Made by mouse")
    page.get_by_label("Created", exact=True).select_option("All time")
    page.get_by_role("button", name="Take all columns out").click()
    for column in ("reference", "title", "status"):
        page.get_by_label("Seek a column").fill(column)
        page.get_by_role("button", name=f"Add {column}", exact=True).click()
    for column, title in (("reference", "Référence"), ("title", "作業"), ("status", "State of it")):
        page.get_by_label(f"Title of {column}", exact=True).fill(title)
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Value", exact=True).fill("complete")
    page.get_by_label("Format").select_option("xlsx")
    expect(page.get_by_text(f"{completed():,}", exact=True)).to_be_visible()
    expect(page.get_by_role("columnheader", name="作業")).to_be_visible()
    page.get_by_role("button", name="Create and start").click()

    expect(page.get_by_role("heading", name="Made by mouse")).to_be_visible()
    page.evaluate("window.isStillTheSame = true")
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    expect(page.get_by_role("progressbar", name="progress")).to_have_js_property("value", 100)
    assert page.evaluate("window.isStillTheSame")
    sheet = downloaded(page, press(page.get_by_role("link", name="Download", exact=True))).worksheets[0]
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("Référence", "作業", "State of it")
    assert len(rows) == completed() + 1
    assert {row[2] for row in rows[1:]} == {"complete"}


def test_an_export_by_the_keyboard_alone(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto(NEW)
    keys = page.keyboard
    tab_to(page, "^Name of the export")
    keys.press("Control+a")
    keys.type("Made by keys")
    tab_to(page, "^Created")
    keys.type("All t")  # a list takes the first letters of what is meant
    tab_to(page, "^Add a condition")
    keys.press("Enter")
    assert page.evaluate(NAME) == "Column of the condition"
    tab_to(page, "^Value")
    keys.type("complete")
    tab_to(page, "^Start from")
    keys.type("basic")
    before = titles(page)
    tab_to(page, "^Move .*: arrow keys")
    keys.press("ArrowDown")
    assert titles(page) == [before[1], before[0], *before[2:]]
    keys.press("End")
    assert titles(page) == [before[1], *before[2:], before[0]]
    assert page.evaluate(NAME).startswith(f"Move {before[0]}, place {len(before)} of {len(before)}")
    tab_to(page, "^Take .* out$")
    keys.press("Enter")
    assert titles(page) == [before[1], *before[2:]]
    tab_to(page, "^Format")
    keys.type("XLSX")
    tab_to(page, "^Create and start")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="Made by keys")).to_be_visible()
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()
    tab_to(page, "^Download$")
    sheet = downloaded(page, lambda: keys.press("Enter")).worksheets[0]
    assert [cell.value for cell in sheet[1]] == titles_of("Made by keys") == [before[1], *before[2:]]
    assert sheet.max_row == completed() + 1


def titles_of(name: str) -> list[str]:
    return [column["title"] for column in ExportJob.objects.get(name=name).spec["columns"]]


def test_a_job_s_page_by_the_keyboard_alone(open_as: OpenAs, site: Site) -> None:
    page = open_as("admin").page
    with site.held():
        job = make_queued(user_of("admin"), acme(), "Stopped by keys")
        page.goto(f"{JOBS}{job.pk}/change/")
        tab_to(page, "^Cancel$")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Retry")).to_be_visible()
    job.refresh_from_db()
    assert job.status == JobStatus.CANCELLED
    tab_to(page, "^Retry$")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()


def test_what_is_shown_of_other_choices_is_dimmed_until_there_is_an_answer(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto(NEW)
    given, is_stale = page.locator("[data-preflight]"), re.compile(r"\bstale\b")
    expect(given.locator("[data-rows]")).to_be_visible()
    expect(given).not_to_have_class(is_stale)
    page.get_by_role("button", name="Add a condition", exact=True).click()
    page.get_by_label("Column of the condition").select_option("due_on")
    expect(given.get_by_text("Not complete yet:")).to_be_visible()
    expect(given).to_have_class(is_stale)
    page.get_by_label("Value", exact=True).fill("2024-01-31")
    expect(given).not_to_have_class(is_stale)
    expect(given.get_by_text("Not complete yet:")).to_be_hidden()


def test_nothing_is_lost_by_a_sign_in_in_between(open_as: OpenAs) -> None:
    window = open_as("admin")
    page = window.page
    page.goto(NEW)
    expect(page.locator("[data-rows]")).to_be_visible()
    window.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_label("Name of the export").fill("Written before")
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    other = window.context.new_page()
    other.goto(NEW)
    email, password = demo_people.PEOPLE["admin"]
    other.get_by_label("E-mail").fill(email)
    other.get_by_label("Password").fill(password)
    other.get_by_role("button", name="Log in").click()
    expect(other.get_by_label("Name of the export")).to_be_visible()
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_text("This page is older than your last sign-in.")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Name of the export")).to_have_value("Written before")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", name="Written before")).to_be_visible()


def test_what_was_typed_over_an_older_version_does_not_come_back(open_as: OpenAs) -> None:
    page = open_as("admin").page
    config = configs.create(user_of("admin"), acme(), {"name": "Two tabs", "columns": ["id"]})
    page.clock.install()
    page.goto(f"/admin/exports/exportconfig/{config.pk}/edit/")
    form, name = page.locator("form[data-ready]"), page.get_by_label("Name", exact=True)
    expect(form).to_be_visible()
    name.fill("Mine")
    page.clock.run_for(1000)  # a moment later it is kept
    page.reload()
    expect(form).to_be_visible()
    expect(name).to_have_value("Mine")
    configs.update(user_of("admin"), config, {"name": "Theirs"})
    page.reload()
    expect(form).to_be_visible()
    expect(name).to_have_value("Theirs")
