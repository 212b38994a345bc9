"""The service and the browser, started once for all tests of this folder and stopped after the last."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:  # models are imported only when Django is up, and a conftest may come earlier
    from playwright.sync_api import Browser

    from tests.browser.people import Window
    from tests.browser.site import Site

TASKS = 1500  # of acme
# Screens are the same on both databases, and only PostgreSQL can hold an export still; one whole way is gone on SQLite too.
ON_SQLITE = "test_three_renamed_columns_and_a_condition_by_mouse"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what does not run on SQLite."""
    if config.getoption("database") == "sqlite":
        left_out = {item for item in items if item.path.parent == Path(__file__).parent and item.name != ON_SQLITE}
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))


class OpenAs(Protocol):
    """Opens a window of a person's."""

    def __call__(self, name: str | None, *, dark: bool = False, width: int = ..., **options: Any) -> Window: ...


@pytest.fixture(scope="package")
def site(django_db_setup: None, django_db_blocker: Any) -> Iterator[Site]:
    """The running service."""
    from tests.browser import site

    if site.chromium() is None:
        if os.environ.get("CI"):
            pytest.fail(site.NONE_HERE)
        pytest.skip(site.NONE_HERE)
    with django_db_blocker.unblock():
        database = site.new_database("browser")
        with site.running(database, TASKS) as running:
            yield running


@pytest.fixture(scope="package")
def browser(site: Site) -> Iterator[Browser]:
    """The browser."""
    from tests.browser.site import browsing

    with browsing() as browser:
        yield browser


@pytest.fixture
def open_as(site: Site, browser: Browser) -> Iterator[OpenAs]:
    """Opens windows, and closes them at the end, when no console may have said anything. Meanwhile Django is in the service's database."""
    from tests.browser.people import open_window

    windows: list[Window] = []

    def open_as(name: str | None, **options: Any) -> Window:
        windows.append(open_window(browser, site, name, **options))
        return windows[-1]

    with site.opened():
        try:
            yield open_as
        finally:
            for window in windows:
                window.context.close()
    trouble = [line for window in windows for line in window.trouble]
    assert not trouble, "\n".join(trouble)
