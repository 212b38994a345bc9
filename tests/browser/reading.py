"""What a person does with a file once it is there: opens it."""

from __future__ import annotations

import io

import openpyxl
from openpyxl.workbook import Workbook
from playwright.sync_api import Locator, Page


def downloaded(page: Page, button: Locator) -> Workbook:
    """The workbook that a press of the button brings."""
    with page.expect_download() as downloading:
        button.click()
    download = downloading.value
    assert download.suggested_filename.endswith(".xlsx")
    return openpyxl.load_workbook(io.BytesIO(download.path().read_bytes()))
