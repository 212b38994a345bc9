"""What a person does all day: signs in, exports, watches, downloads, cancels, retries; and what is refused."""

from __future__ import annotations

import re

import pytest
from django.db.models.functions import Now
from playwright.sync_api import Locator, Page, expect

from exports.models import Download, ExportJob
from exports.states import JobStatus
from tasks import demo_people
from tasks.models import Task
from tests.browser.conftest import TASKS, OpenAs
from tests.browser.people import acme, user_of
from tests.browser.reading import downloaded, press
from tests.browser.site import Site
from tests.making import make_job, make_queued

pytestmark = pytest.mark.serial
LIST = "/admin/exports/exportjob/"
ROWS = f"{TASKS:,} rows"


def page_of(job: ExportJob) -> str:
    return f"{LIST}{job.pk}/change/"


def status(within: Page | Locator, word: str) -> Locator:
    """The status that is shown first, once it is this word."""
    return within.locator("[data-part=badge]").first.filter(has_text=re.compile(f"^{word}$"))


def events(job: ExportJob) -> list[tuple[str, str]]:
    """What the timeline says became of the job, and by whom."""
    return [(event.to_status, event.actor.email if event.actor else "") for event in job.events.select_related("actor")]


def test_a_person_signs_in_and_out(open_as: OpenAs) -> None:
    page = open_as(None).page
    email, password = demo_people.PEOPLE["admin"]
    page.goto(LIST)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct")).to_be_visible()
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(f"{LIST}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Export jobs")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Logged out")).to_be_visible()
    page.goto(LIST)
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_a_running_export_is_watched_to_100_percent_and_downloaded(open_as: OpenAs, site: Site) -> None:
    one, many = open_as("admin").page, open_as("viewer").page
    with site.held():
        job = make_queued(user_of("admin"), acme(), "Watched", format="xlsx")
        one.goto(page_of(job))
        many.goto(f"{LIST}?q={job.pk}")
        many.evaluate("window.isStillTheSame = true")
        for page in (one, many):
            expect(status(page, "in progress")).to_be_visible()
            expect(page.get_by_role("progressbar", name="progress").first).to_be_visible()
        expect(one.get_by_role("link", name="Download", exact=True)).to_be_hidden()
    for page in (one, many):
        expect(status(page, "done")).to_be_visible()
        expect(page.get_by_role("progressbar", name="progress").first).to_have_js_property("value", 100)
        expect(page.get_by_text(ROWS).first).to_be_visible()
    assert many.evaluate("window.isStillTheSame")
    book = downloaded(one, press(one.get_by_role("link", name="Download", exact=True)))
    assert book.worksheets[0].max_row == TASKS + 1
    assert Download.objects.get(file__job=job).user == user_of("admin")
    assert events(job)[-1] == ("done", "")


def test_a_running_export_is_cancelled(open_as: OpenAs, site: Site) -> None:
    page = open_as("admin").page
    with site.held():
        job = make_queued(user_of("admin"), acme(), "Cancelled")
        page.goto(page_of(job))
        expect(status(page, "in progress")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(status(page, "cancelled")).to_be_visible()
        expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    assert events(job)[-1] == ("cancelled", user_of("admin").email)


def test_a_failed_export_is_retried(open_as: OpenAs) -> None:
    job = make_job(user_of("admin"), acme(), "Failed at first")
    ExportJob.objects.filter(pk=job.pk).update(
        status=JobStatus.FAILED, error="The storage did not answer.", error_code="storage_unavailable", finished_at=Now()
    )
    page = open_as("admin").page
    page.goto(page_of(job))
    expect(status(page, "failed")).to_be_visible()
    expect(page.get_by_text("The storage did not answer.").first).to_be_visible()
    expect(page.get_by_text("Press Retry once the storage answers again.")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(status(page, "done")).to_be_visible()
    expect(page.get_by_text("The storage did not answer.")).to_have_count(0)
    assert [status for status, _ in events(job)][-3:] == ["queued", "in progress", "done"]


def test_what_is_not_theirs_is_refused(open_as: OpenAs) -> None:
    job = make_job(user_of("admin"), acme(), "Secret name")
    task = Task.objects.filter(organization=acme()).latest("pk")
    before = (job.version_rev, len(events(job)))
    stranger = open_as("outsider").page
    for path in (page_of(job), f"{LIST}{job.pk}/download/", f"/admin/tasks/task/{task.pk}/change/"):
        stranger.goto(path)
        expect(stranger).to_have_url(re.compile("/admin/$"))
        expect(stranger.get_by_text("doesn’t exist. Perhaps it was deleted?")).to_be_visible()
    stranger.goto(f"{LIST}?q={job.pk}")
    expect(stranger.get_by_text("Secret name")).to_have_count(0)

    reader = open_as("viewer").page
    reader.goto(page_of(job))
    expect(reader.get_by_role("heading", name="Secret name")).to_be_visible()
    for name in ("Start", "Cancel", "Retry", "Make again"):
        expect(reader.get_by_role("button", name=name)).to_have_count(0)
    expect(reader.get_by_role("link", name="New export")).to_have_count(0)
    answer = reader.goto(f"{LIST}add/")
    assert answer
    assert answer.status == 403
    expect(reader.get_by_role("link", name="Back to the overview")).to_be_visible()
    job.refresh_from_db()
    assert (job.version_rev, len(events(job))) == before
