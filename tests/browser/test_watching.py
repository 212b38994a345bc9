"""What watching costs: one light query a poll, and none when nobody looks or nothing moves."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from playwright.sync_api import Page, expect

from exports.admin import shown
from exports.models import ExportJob
from exports.services import jobs
from tests.browser.conftest import OpenAs
from tests.browser.people import acme, user_of
from tests.browser.site import Site
from tests.making import make_job, make_queued

pytestmark = pytest.mark.serial
LIST = "/admin/exports/exportjob/"
AFTER_MS = 60_000  # however slow the polls are, some fall into it


def polls_of(page: Page) -> list[str]:
    """The addresses that the page asks for by itself, from now on."""
    found: list[str] = []
    page.on("request", lambda request: found.append(request.url) if request.resource_type in {"fetch", "xhr"} else None)
    return found


def look_away(page: Page, hidden: bool) -> None:
    """Another tab comes to the front, or this one again; a headless browser has no front."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def test_polling_stops_when_nobody_looks_and_when_all_has_ended(open_as: OpenAs, site: Site) -> None:
    page = open_as("admin").page
    polls = polls_of(page)
    page.clock.install()
    with site.held():
        for number in range(3):
            make_queued(user_of("admin"), acme(), f"Many watched {number}", timezone="UTC")
        page.goto(f"{LIST}?q=Many+watched")
        expect(page.get_by_role("progressbar", name="progress")).to_have_count(3)
        before = len(polls)
        with page.expect_response(lambda answer: "/live/" in answer.url):
            page.clock.run_for(10_000)
        assert len(polls) > before
        assert polls[-1].count(",") + polls[-1].count("%2C") == 2, "one request asks for all three"

        look_away(page, True)
        page.clock.run_for(10_000)  # what was on its way may still come
        page.wait_for_load_state("networkidle")
        asleep = len(polls)
        page.clock.run_for(AFTER_MS)
        page.wait_for_load_state("networkidle")
        assert len(polls) == asleep
        with page.expect_response(lambda answer: "/live/" in answer.url):
            look_away(page, False)
    page.clock.resume()
    expect(page.locator("[data-part=badge]").filter(has_text="done")).to_have_count(3)
    page.wait_for_load_state("networkidle")
    ended = len(polls)
    page.clock.fast_forward(AFTER_MS)
    page.wait_for_load_state("networkidle")
    assert len(polls) == ended


def test_a_page_of_ended_jobs_asks_nothing(open_as: OpenAs) -> None:
    job = make_job(user_of("admin"), acme(), "Ended before")
    jobs.cancel(user_of("admin"), job)
    page = open_as("admin").page
    polls = polls_of(page)
    page.clock.install()
    for path in (f"{LIST}?q={job.pk}", f"{LIST}{job.pk}/change/"):
        page.goto(path)
        page.clock.run_for(AFTER_MS)
        page.wait_for_load_state("networkidle")
    assert polls == []


def test_a_poll_for_a_page_of_jobs_is_one_query(open_as: OpenAs) -> None:
    admin = user_of("admin")
    ids = [make_job(admin, acme(), f"Counted {number}").pk for number in range(50)]
    with CaptureQueriesContext(connection) as queries:
        assert len(shown.states(admin, ids)) == 50
    selects = [query["sql"] for query in queries if "exports_exportjob" in query["sql"]]
    assert len(selects) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {selects[0]}")
        plan = cursor.fetchone()[0]
    plan = json.loads(plan) if isinstance(plan, str) else plan
    print(f"a poll for {len(ids)} jobs: {plan[0]['Execution Time']:.2f} ms in the database, {ExportJob.objects.count():,} jobs in it")
