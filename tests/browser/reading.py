"""What a person does with a file once it is there: opens it."""

from __future__ import annotations

import io
from collections.abc import Callable

import openpyxl
from openpyxl.workbook import Workbook
from playwright.sync_api import Locator, Page


def press(button: Locator) -> Callable[[], None]:
    """A press of the button, still to come."""
    return lambda: button.first.click()


def downloaded(page: Page, act: Callable[[], None]) -> Workbook:
    """The workbook that the act brings."""
    with page.expect_download() as downloading:
        act()
    download = downloading.value
    assert download.suggested_filename.endswith(".xlsx")
    return openpyxl.load_workbook(io.BytesIO(download.path().read_bytes()))
