"""Chooses the database before Django's settings load; the fixtures are in tests/fixtures.py."""

from __future__ import annotations

import contextlib
import os
import tempfile

import pytest

from tests import postgres

_session = contextlib.ExitStack()
# Modules that ask nothing which one database answers differently from another: walks through the guides, other parts, plain functions.
ONCE = {
    *("test_api_docs", "test_case_tasks_docs", "test_operations_docs", "test_scheduled_tasks_docs", "test_task_exports_docs", "test_docs_tables"),
    *("test_cli", "test_openapi", "test_s3", "test_containers", "test_architecture", "test_settings", "test_logs", "test_theme"),
    *("test_archive", "test_calendar", "test_equal_files", "test_runservice", "test_demo", "test_outbound", "test_webhooks", "test_copies"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--database`."""
    parser.addoption("--database", choices=["sqlite", "postgres"], default="sqlite", help="what the tests run on (PostgreSQL is started for the run)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepares a database and a folder for files, once a session, and loads Django."""
    if not hasattr(config, "workerinput"):  # xdist's workers inherit what the first process prepared
        os.environ["VAR"] = _session.enter_context(tempfile.TemporaryDirectory(prefix="taskexport-", ignore_cleanup_errors=True))
        if config.getoption("database") == "postgres":
            os.environ["DATABASE_URL"] = _session.enter_context(postgres.running())
        else:
            os.environ["DATABASE_URL"] = f"sqlite:///{os.environ['VAR']}/taskexport.sqlite3"
        os.environ["TASKEXPORT_ENV"] = "development"
        os.environ["DJANGO_SETTINGS_MODULE"] = "taskexport.settings"

    import django
    from django.conf import settings

    if hasattr(config, "workerinput"):  # what one process stores is not another's; pytest-django has read the settings by now
        settings.VAR = settings.VAR / config.workerinput["workerid"]
        settings.VAR.mkdir()
        settings.FILES_ROOT, settings.SPOOL_ROOT = settings.VAR / "files", settings.VAR / "spool"
        os.environ |= {"VAR": str(settings.VAR), "SECRET_KEY": settings.SECRET_KEY}  # for the processes that it starts
    settings.PASSWORD_HASHERS = ["tests.hashers.OneRound"]
    settings.WHITENOISE_AUTOREFRESH = True  # else every test client looks at every static file first
    django.setup()
    config.pluginmanager.import_plugin("tests.fixtures")  # only now: it imports models


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the server and removes the folder."""
    _session.close()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Puts serial tests into one group, which one process runs, and marks what one database is enough for; xdist and -m look before any later
    hook of ours."""
    if item.path.stem in ONCE or item.path.parent.name == "browser":
        item.add_marker(pytest.mark.once)
    if item.get_closest_marker("serial"):
        item.add_marker(pytest.mark.xdist_group("serial"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says plainly that the browser's tests did not run: a skip is a letter among a thousand dots."""
    without = [report for report in terminalreporter.getreports("skipped") if report.nodeid.startswith("tests/browser/")]
    if without:
        terminalreporter.write_line(f"NOT RUN: {len(without)} tests of the screens in a real browser. {without[0].longrepr[2]}", yellow=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts serial tests ahead of the rest: they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("serial") is None)
