"""A new export on its page: by mouse, and by the keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tasks.models import Task, TaskStatus
from tests.browser.conftest import OpenAs
from tests.browser.people import acme
from tests.browser.reading import downloaded

pytestmark = pytest.mark.serial
pytest.importorskip("exports.admin.new.views")  # until the page is here
NEW = "/admin/exports/exportjob/add/"
# What the eye follows: an outline or a ring around the element that has the focus.
IS_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== "none";
}"""
MOST_TABS = 120


def completed() -> int:
    return Task.objects.filter(organization=acme(), status=TaskStatus.COMPLETE).count()


def tab_to(page: Page, name: str) -> None:
    """Presses Tab until the element of this accessible name has the focus; it must be seen on the way."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        assert page.evaluate(IS_SEEN), page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        if re.search(name, page.evaluate(NAME)):
            return
    pytest.fail(f"{name} is not reached by Tab")


NAME = """() => {
  const one = document.activeElement;
  return one.getAttribute("aria-label") || [...(one.labels ?? [])].map((label) => label.textContent).join(" ").trim() || one.textContent.trim();
}"""


def test_three_renamed_columns_and_a_condition_by_mouse(open_as: OpenAs) -> None:
    page = open_as("admin").page
    page.goto(NEW)
    page.get_by_label("Name of the export").fill("Made by mouse")
    page.get_by_label("Created", exact=True).select_option("All time")
    page.get_by_role("button", name="Take all columns out").click()
    for column in ("reference", "title", "status"):
        page.get_by_label("Seek a column").fill(column)
        page.get_by_role("button", name=re.compile(f"^Add {column}$")).click()
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
    expect(page.get_by_role("link", name="Download")).to_be_visible()
    expect(page.get_by_role("progressbar", name="progress")).to_have_js_property("value", 100)
    assert page.evaluate("window.isStillTheSame")
    sheet = downloaded(page, page.get_by_role("link", name="Download")).worksheets[0]
    rows = list(sheet.iter_rows(values_only=True))
    assert rows[0] == ("Référence", "作業", "State of it")
    assert len(rows) == completed() + 1
    assert {row[2] for row in rows[1:]} == {"complete"}
