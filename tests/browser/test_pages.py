"""Every page of the admin, light and dark, wide and narrow: the console says nothing, nothing sticks out, and axe finds nothing serious."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.db.models.functions import Now
from django.test import RequestFactory
from django.urls import reverse
from playwright.sync_api import Page, expect

from exports.models import ExportJob, JobAttempt
from exports.services import configs, segments
from exports.states import JobStatus
from tests.browser.conftest import OpenAs
from tests.browser.people import HEIGHT, NARROW, WIDE, Window, acme, user_of
from tests.browser.site import Site
from tests.making import make_job, make_queued

pytestmark = pytest.mark.serial
JOBS = "/admin/exports/exportjob/"
SERIOUS = {"serious", "critical"}
# Of Django's own: Select2 keeps its search box in the list of what is chosen, and the search field's label is a picture with a name.
NOT_OURS = {("list", "select2-selection__rendered"), ("label-title-only", "searchbar")}
# The widest element that sticks out, because a number alone helps nobody.
STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return "";
  const found = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > wide + 1);
  return found.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)).join("\\n") || `scrollWidth ${document.documentElement.scrollWidth}`;
}"""

CUT_OFF = "() => [...document.querySelectorAll('.card')].some((one) => one.scrollWidth > one.clientWidth + 1)"


def _axe() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    assert found
    assert found.origin
    return (Path(found.origin).parent / "axe.min.js").read_text()


AXE = _axe()


def faults(page: Page, *rules: str) -> list[str]:
    """What axe finds that keeps people from using the page; by these rules, or by all."""
    page.evaluate(AXE)
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}  # it would fetch stylesheets at wrong addresses
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]} {node['failureSummary'].splitlines()[1].strip()[:300]}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
        if not any(one["id"] == rule and mark in node["html"] for rule, mark in NOT_OURS)
    ]


def wrong_with(page: Page, *, is_known: bool = False) -> list[str]:
    """All that is wrong with the page as it stands, in light and wide, then dark and narrow; axe does not look at what is known to it."""
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    page.emulate_media(color_scheme="light")
    _settle(page)
    wrong = [] if is_known else faults(page)
    if stuck := page.evaluate(STICKS_OUT):
        wrong.append(f"at {WIDE} px these stick out: {stuck}")
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    page.emulate_media(color_scheme="dark")
    _settle(page)
    if stuck := page.evaluate(STICKS_OUT):
        wrong.append(f"at {NARROW} px these stick out: {stuck}")
    return wrong if is_known else wrong + [f"dark: {line}" for line in faults(page, "color-contrast")]


def _settle(page: Page) -> None:
    page.evaluate("document.getAnimations().forEach((one) => one instanceof CSSTransition && one.finish())")  # a colour on its way to another is none


@dataclass
class Walk:
    """Goes from page to page and notes what is wrong, each fault once with all the pages that have it."""

    window: Window
    found: dict[str, list[str]] = field(default_factory=dict)

    def to(self, path: str, status: int = 200, *, is_known: bool = False) -> None:
        """Looks at the page of this path."""
        answer = self.window.page.goto(path)
        if answer and answer.status != status:
            self.found.setdefault(f"answers {answer.status}", []).append(path)
        self.here(path, is_known=is_known)

    def here(self, name: str, *, is_known: bool = False) -> None:
        """Looks at the page as it stands."""
        for line in wrong_with(self.window.page, is_known=is_known):
            self.found.setdefault(line, []).append(name)

    def end(self) -> None:
        """Fails where anything was wrong."""
        lines = [f"{line}\n    on {len(paths)}: {' '.join(paths[:4])}" for line, paths in self.found.items()]
        assert not lines, "\n".join(lines)


def paths_of(model: type[Model]) -> list[tuple[str, str]]:
    """The pages of a model's rows and what they are: the list, a search without a find, a new one, one, and its history."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    listed = reverse(f"{name}_changelist")
    found = [(listed, "list"), (f"{listed}?q=nothing-is-called-so", "empty"), (reverse(f"{name}_add"), "add")]
    one = model._default_manager.order_by("pk").last()
    return found + [(reverse(f"{name}_{look}", args=[one.pk]), look) for look in ("change", "history") if one]


def test_every_page_of_every_model(open_as: OpenAs) -> None:
    walk = Walk(open_as("superuser"))
    request = RequestFactory().get("/")
    request.user = user_of("superuser")
    known: set[object] = set()
    for model, screens in admin.site._registry.items():
        for path, look in paths_of(model):
            # Django makes these pages of one template; axe looks at one of each look.
            of_one_look = (look,) if look in {"empty", "history"} else (look, type(screens))
            refused = look == "add" and not screens.has_add_permission(request)
            walk.to(path, 403 if refused else 200, is_known=of_one_look in known)
            known.add(of_one_look)
    walk.end()


def test_a_job_s_page_in_each_status(open_as: OpenAs, site: Site) -> None:
    walk = Walk(open_as("admin"))
    page = walk.window.page
    for status in JobStatus:
        job = make_job(user_of("admin"), acme(), f"A job that is {status}")
        ExportJob.objects.filter(pk=job.pk).update(status=status, queued_at=Now(), available_at=Now() + timedelta(days=1), attempt=1)
        JobAttempt.objects.create(
            job=job, number=1, token="x", worker="elsewhere", beat_at=Now() + timedelta(days=1), rows_total=9_000_000, rows_done=5_876_123
        )
        if status == JobStatus.FAILED:
            ExportJob.objects.filter(pk=job.pk).update(error="The storage did not answer. " * 10, error_code="storage_unavailable")
        walk.to(f"{JOBS}{job.pk}/change/")
    walk.to(JOBS)
    page.goto(f"{JOBS}{make_queued(user_of('admin'), acme(), 'Done'.ljust(200, '!')).pk}/change/")
    expect(page.get_by_role("link", name="Download", exact=True).first).to_be_visible()
    walk.here("a job with its file")
    walk.end()


def test_names_of_200_letters_without_a_space_stay_within_their_pages(open_as: OpenAs, site: Site) -> None:
    name, admin_ = "W" * 200, user_of("admin")
    rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
    segment = segments.create(admin_, acme(), name, {"index": "tasks", "rules": [rule]})
    config = configs.create(admin_, acme(), {"name": name, "columns": ["id"], "segment": segment})
    job = make_job(admin_, acme(), name)
    walk = Walk(open_as("admin"))
    for row, looks in ((job, ["change"]), (job.operation, ["change", "remove"]), *((row, ["change", "edit", "remove"]) for row in (config, segment))):
        for look in looks:
            path = f"/admin/exports/{row._meta.model_name}/{row.pk}/{look}/"
            walk.to(path, is_known=True)
            assert not walk.window.page.evaluate(CUT_OFF), path
    walk.end()


def test_the_pages_around(open_as: OpenAs, site: Site) -> None:
    walk = Walk(open_as("admin"))
    for path in ("/admin/", "/admin/tasks/", "/admin/exports/", "/admin/password_change/"):
        walk.to(path)
    for path, drawn in (("/api/docs", ".opblock"), ("/api/redoc", "h1")):  # drawn by others' scripts: what the console says is asked, not axe
        walk.window.page.goto(path)
        expect(walk.window.page.locator(drawn).first).to_be_visible(timeout=60_000)
    walk.to("/nothing/here", 404)
    walk.to("/admin/nothing/here/", 404)
    walk.end()

    stranger = Walk(open_as(None))
    stranger.to("/admin/login/")
    page = stranger.window.page
    page.get_by_role("button", name="Log in").click()
    stranger.here("a refused login")
    stranger.window.context.clear_cookies()
    page.get_by_label("E-mail").fill("a@example.com")
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("main")).to_contain_text("Please send that again")
    stranger.here("a form of another session")
    stranger.end()

    viewer = Walk(open_as("viewer"))
    page = viewer.window.page
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    page.goto("/admin/")
    page.get_by_role("navigation", name="All pages").get_by_role("link", name="Schedules").click()
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()
    viewer.to(f"{JOBS}add/", 403)
    for path in ("/admin/", JOBS):
        viewer.to(path)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE exports_exportjob RENAME TO gone")
        try:
            viewer.to(JOBS, 500)
        finally:
            cursor.execute("ALTER TABLE gone RENAME TO exports_exportjob")
    viewer.end()
