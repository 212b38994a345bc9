"""`make screenshots`: the pictures of docs/images, each light and dark, wide and narrow."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from playwright.sync_api import Page

TASKS = 20_000
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
HEIGHTS = {1360: 900, 390: 844}
TALL = {"new-export": 1360}  # its columns stand lower than a screen


def main() -> int:
    """Takes them all; 0."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskexport.settings")
    django.setup()
    from tests.browser import site

    with site.running(os.environ["DATABASE_URL"], TASKS) as running, site.browsing() as browser:
        from tests.browser.people import open_window
        from tests.browser.story import tell

        job, schedule = tell()
        pages = {
            "dashboard": "/admin/",
            "new-export": "/admin/exports/exportjob/add/",
            "running-job": f"/admin/exports/exportjob/{job.pk}/change/",
            "job-list": "/admin/exports/exportjob/",
            "schedule": f"/admin/exports/exportschedule/{schedule.pk}/change/",
        }
        FOLDER.mkdir(parents=True, exist_ok=True)
        for width, height in HEIGHTS.items():
            for dark in (False, True):
                window = open_window(browser, running, "admin", dark=dark, width=width)
                page = window.page
                for name, path in pages.items():
                    page.set_viewport_size({"width": width, "height": max(height, TALL.get(name, 0))})
                    page.goto(path)
                    if name == "new-export":
                        _choose(page)
                    page.wait_for_load_state("networkidle")
                    shown = FOLDER / f"{name}-{'dark' if dark else 'light'}-{width}.png"
                    page.screenshot(path=shown, animations="disabled", caret="hide")
                    print(f"{shown.relative_to(FOLDER.parent.parent)}: {shown.stat().st_size:,} bytes")
                if window.trouble:
                    print("\n".join(window.trouble), file=sys.stderr)
                    return 1
                window.context.close()
    return 0


def _choose(page: Page) -> None:
    page.get_by_label("Name of the export").fill("Open work, North hub")
    page.get_by_label("Created", exact=True).select_option("All time")
    page.get_by_role("button", name="Take all columns out").click()
    for column, title in (("reference", "Référence"), ("title", "作業"), ("assignee", "Who"), ("due_on", "Due")):
        page.get_by_label("Seek a column").fill(column)
        page.get_by_role("button", name=re.compile(f"^Add {column}( once more)?$")).first.click()
        page.get_by_label(f"Title of {column}", exact=True).fill(title)
    page.get_by_label("Seek a column").fill("")
    page.get_by_role("button", name="Add a condition", exact=True).click()
    page.get_by_label("Operator").select_option(label="is not")
    page.get_by_label("Value", exact=True).fill("complete")
    page.get_by_label("Format").select_option("xlsx")
    page.get_by_role("columnheader", name="作業").wait_for()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


if __name__ == "__main__":
    sys.exit(main())
