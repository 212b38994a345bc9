"""The admin's screens of export jobs: who sees what, which buttons work for whom, and a whole export by clicks."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin as django_admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from exports import worker
from exports.models import Download, ExportFile, ExportJob, JobEvent, Trigger
from exports.services import jobs
from exports.states import JobStatus
from tasks.models import Organization, Platform, Role, Task, User
from tests.making import make_job, make_queued

StaffClientOf = Callable[[User], Client]
LIST = "/admin/exports/exportjob/"
ADD = "/admin/exports/exportjob/add/"
VERBS = ("start", "cancel", "retry", "again")


def page(job: ExportJob | uuid.UUID | str, name: str = "change") -> str:
    return f"{LIST}{job.pk if isinstance(job, ExportJob) else job}/{name}/"


def moved(job: ExportJob, status: JobStatus, **values: Any) -> ExportJob:
    ExportJob.objects.filter(pk=job.pk).update(status=status, **values)
    job.refresh_from_db()
    return job


def with_file(job: ExportJob, days: int = 1) -> ExportFile:
    moved(job, JobStatus.DONE)
    return ExportFile.objects.create(
        job=job,
        attempt=1,
        key=f"exports/{job.pk}",
        name=f"{job.pk}-task-export.csv.zip",
        content_type="application/zip",
        size=123_456,
        sha256="ab" * 32,
        rows=12_345,
        receipt={"receipt": {"rows_written": 12_345}},
        expires_at=timezone.now() + timedelta(days=days),
    )


def form(organization: Organization, **values: Any) -> dict[str, Any]:
    return {
        "organization": organization.pk,
        "name": "January",
        "type": "basic",
        "format": "csv",
        "creation_start_date": "2024-01-01",
        "creation_end_date": "2024-01-31",
        "timezone": "UTC",
        "nonce": str(uuid.uuid4()),
    } | values


def said(response: Any) -> str:
    """The messages on the page that the answer leads to."""
    return " ".join(str(message) for message in response.context["messages"])


# -- What is registered --------------------------------------------------------------------------------------------
def test_no_screen_of_the_queue_and_no_groups() -> None:
    registered = {model._meta.label for model in django_admin.site._registry}
    assert not {label for label in registered if label.startswith(("django_q.", "auth."))}
    assert not {"tasks.Session", "tasks.IdempotencyKey", "exports.TickLease"} & registered
    for model in apps.get_app_config("django_q").get_models():
        with pytest.raises(NoReverseMatch):
            reverse(f"admin:django_q_{model._meta.model_name}_changelist")


def test_signed_out_every_screen_leads_to_the_sign_in(admin: User, acme: Organization) -> None:
    job = make_job(admin, acme)
    for path in (LIST, ADD, f"{LIST}live/?ids={job.pk}", page(job), page(job, "download"), page(job, "receipt")):
        response = Client().get(path)
        assert response.status_code == 302, path
        assert response["Location"].startswith("/admin/login/")


def test_without_is_staff_the_door_stays_shut(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(admin, acme)
    admin.is_staff = False
    admin.save()
    client = staff_client_of(admin)
    assert client.get(f"{LIST}live/?ids={job.pk}").status_code == 302
    assert client.post(page(job, "start")).status_code == 302
    job.refresh_from_db()
    assert job.status == "new"


# -- Seeing --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["admin", "editor", "viewer", "owner"])
def test_whoever_reads_the_organization_sees_list_page_and_live(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = make_job(admin, acme, "Seen by all of acme")
    client = staff_client_of(request.getfixturevalue(role))
    assert "Seen by all of acme" in client.get(LIST).content.decode()
    assert "tasks created from 1990-01-01" in client.get(page(job)).content.decode()
    assert [one["id"] for one in client.get(f"{LIST}live/?ids={job.pk}").json()["jobs"]] == [str(job.pk)]


def test_outsider_gets_nothing_of_acme(admin: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(admin, acme, "Secret name")
    with_file(job)
    client = staff_client_of(outsider)
    for path in (LIST, f"{LIST}?q=Secret", f"{LIST}?q={job.pk}", f"{LIST}?of={acme.pk}", f"{LIST}?organization__id__exact={acme.pk}"):
        response = client.get(path)
        assert "Secret name" not in response.content.decode(), path
        assert "Acme" not in response.content.decode(), path
    for name in ("change", "download", "receipt", "history"):
        response = client.get(page(job, name), follow=True)
        assert "Secret name" not in response.content.decode()
        assert response.redirect_chain[0] == ("/admin/", 302), name
    assert {client.get(page(one, "delete")).status_code for one in (job, uuid.uuid4())} == {403}
    assert client.get(f"{LIST}live/?ids={job.pk}").json() == {"jobs": []}
    unknown = client.get(page(uuid.uuid4()), follow=True)
    assert said(unknown).split("“")[0] == said(client.get(page(job), follow=True)).split("“")[0]
    assert not Download.objects.exists()


@pytest.mark.parametrize("verb", VERBS)
def test_outsider_moves_nothing(verb: str, admin: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(admin, acme)
    before = (job.version_rev, ExportJob.objects.count(), JobEvent.objects.count())
    assert staff_client_of(outsider).post(page(job, verb))["Location"] == "/admin/"
    job.refresh_from_db()
    assert (job.version_rev, ExportJob.objects.count(), JobEvent.objects.count()) == before


def test_a_superuser_sees_a_platform_s_job_and_nobody_else_does(admin: User, acme: Organization, platform: Platform, staff_client_of: Any) -> None:
    job = make_job(admin, acme, "All of them")
    ExportJob.objects.filter(pk=job.pk).update(organization=None, platform=platform)
    assert staff_client_of(admin).get(page(job)).status_code == 302
    boss = User.objects.create_superuser("boss@example.com")
    assert "All of them" in staff_client_of(boss).get(page(job)).content.decode()
    assert "All of them" in staff_client_of(boss).get(LIST).content.decode()


# -- Buttons -------------------------------------------------------------------------------------------------------
SOURCE = {"start": JobStatus.NEW, "cancel": JobStatus.NEW, "retry": JobStatus.FAILED}
TARGET = {"start": JobStatus.QUEUED, "cancel": JobStatus.CANCELLED, "retry": JobStatus.QUEUED}


@pytest.mark.parametrize("verb", TARGET)
@pytest.mark.parametrize("role", ["admin", "editor"])
def test_a_button_moves_one_s_own_job(
    request: pytest.FixtureRequest, verb: str, role: str, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    user = request.getfixturevalue(role)
    job = moved(make_job(user, acme), SOURCE[verb])
    client = staff_client_of(user)
    assert f'data-verb="{verb}"' in client.get(page(job)).content.decode()
    response = client.post(page(job, verb))
    assert response["Location"] == page(job)
    job.refresh_from_db()
    assert job.status == TARGET[verb]
    last = job.events.latest("pk")
    assert (last.actor, last.to_status) == (user, TARGET[verb])


@pytest.mark.parametrize("verb", TARGET)
def test_an_admin_moves_another_person_s_job(verb: str, admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = moved(make_job(editor, acme), SOURCE[verb])
    staff_client_of(admin).post(page(job, verb))
    job.refresh_from_db()
    assert job.status == TARGET[verb]


@pytest.mark.parametrize("verb", TARGET)
@pytest.mark.parametrize("role", ["editor", "viewer", "owner"])
def test_without_the_right_there_is_no_button_and_a_post_changes_nothing(
    request: pytest.FixtureRequest, verb: str, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = moved(make_job(admin, acme), SOURCE[verb])
    client = staff_client_of(request.getfixturevalue(role))
    assert f'data-verb="{verb}"' not in client.get(page(job)).content.decode()
    before = (job.status, job.version_rev, JobEvent.objects.count())
    response = client.post(page(job, verb), follow=True)
    assert said(response)
    job.refresh_from_db()
    assert (job.status, job.version_rev, JobEvent.objects.count()) == before


@pytest.mark.parametrize("verb", TARGET)
def test_a_button_in_the_wrong_status_is_refused_in_words(verb: str, admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = moved(make_job(admin, acme), JobStatus.DONE)
    response = staff_client_of(admin).post(page(job, verb), follow=True)
    assert "The job is done" in said(response)
    job.refresh_from_db()
    assert job.status == "done"


@pytest.mark.parametrize("verb", VERBS)
def test_a_button_s_address_alone_does_nothing_and_a_post_needs_the_token(verb: str, admin: User, acme: Organization) -> None:
    job = moved(make_job(admin, acme), SOURCE.get(verb, JobStatus.DONE))
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    looked = client.get(page(job, verb), follow=True)  # as after a sign-in in between
    assert looked.redirect_chain == [(page(job), 302)]
    assert "press the button again" in said(looked)
    refused = client.post(page(job, verb))
    assert refused.status_code == 403
    assert "send that again" in refused.content.decode()
    assert ExportJob.objects.count() == 1
    assert ExportJob.objects.get().version_rev == job.version_rev


def test_make_again_twice_from_one_page_makes_one(viewer: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = moved(make_job(editor, acme), JobStatus.DONE)
    client = staff_client_of(editor)
    nonce = client.get(page(job)).context["nonce"]
    first, second = (client.post(page(job, "again"), {"nonce": str(nonce)}) for _ in range(2))
    twin = ExportJob.objects.exclude(pk=job.pk).get()
    assert first["Location"] == second["Location"] == page(twin)
    assert (twin.status, twin.trigger, twin.spec, twin.again_of) == ("new", Trigger.STAFF, job.spec, job)
    staff_client_of(viewer).post(page(job, "again"), {"nonce": "1"})
    assert ExportJob.objects.count() == 2


# -- In bulk -------------------------------------------------------------------------------------------------------
def test_a_bulk_action_moves_what_it_may_and_names_the_rest(
    admin: User, editor: User, acme: Organization, globex: Organization, outsider: User, staff_client_of: StaffClientOf
) -> None:
    mine, hers, elsewhere = make_job(editor, acme, "Mine"), make_job(admin, acme, "Hers"), make_job(outsider, globex, "Elsewhere")
    chosen = {"action": "start", "_selected_action": [str(job.pk) for job in (mine, hers, elsewhere)]}
    text = said(staff_client_of(editor).post(LIST, chosen, follow=True))
    assert "Hers: Only an admin may change another person's job." in text
    assert "1 of 2" in text
    assert "Elsewhere" not in text
    assert {job.name: job.status for job in ExportJob.objects.all()} == {"Mine": "queued", "Hers": "new", "Elsewhere": "new"}


@pytest.mark.parametrize("path", ["exports/exportjob", "exports/delivery", "tasks/task", "tasks/accesstoken"])
@pytest.mark.parametrize("ticked", ["x", "-" * 36, "1\x00", "9" * 30])
def test_a_ticked_row_that_can_be_none_is_400(ticked: str, path: str, admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(admin, acme)
    assert staff_client_of(admin).post(f"/admin/{path}/", {"action": "start", "_selected_action": [str(job.pk), ticked]}).status_code == 400
    assert ExportJob.objects.get().status == JobStatus.NEW


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_who_only_looks_has_no_bulk_actions(
    request: pytest.FixtureRequest, role: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    job = make_job(admin, acme)
    client = staff_client_of(request.getfixturevalue(role))
    client.post(LIST, {"action": "start", "_selected_action": [str(job.pk)]})
    client.post(LIST, {"action": "delete_selected", "_selected_action": [str(job.pk)], "post": "yes"})
    assert ExportJob.objects.get().status == "new"


def test_nobody_edits_or_deletes_a_job(acme: Organization, staff_client_of: StaffClientOf) -> None:
    boss = User.objects.create_superuser("boss@example.com")
    job = make_job(boss, acme)
    client = staff_client_of(boss)
    assert client.post(page(job), {"name": "Other"}).status_code == 405
    assert client.post(page(job, "delete"), {"post": "yes"}).status_code == 403
    client.post(LIST, {"action": "delete_selected", "_selected_action": [str(job.pk)], "post": "yes"})
    assert ExportJob.objects.get().name == "job"


# -- What a page shows ---------------------------------------------------------------------------------------------
def test_a_failed_job_says_what_to_do(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = moved(make_job(editor, acme), JobStatus.FAILED, error="It ran too long.", error_code="deadline")
    text = staff_client_of(editor).get(page(job)).content.decode()
    assert "It ran too long." in text
    assert "Make a new export of a shorter period." in text


def test_names_are_shown_as_text(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = moved(make_job(editor, acme, "<script>alert(1)</script>"), JobStatus.FAILED, error="<b>bold</b>")
    for path in (LIST, page(job)):
        text = staff_client_of(editor).get(path).content.decode()
        assert "<script>alert" not in text
        assert "<b>bold" not in text


def test_an_expired_file_is_refused_in_words_and_its_receipt_stays(viewer: User, editor: User, acme: Organization, staff_client_of: Any) -> None:
    job = make_job(editor, acme)
    with_file(job, days=-1)
    client = staff_client_of(viewer)
    assert "Expired" in client.get(page(job)).content.decode()
    assert "has expired" in said(client.get(page(job, "download"), follow=True))
    assert client.get(page(job, "receipt")).json() == {"receipt": {"rows_written": 12_345}}
    assert not Download.objects.exists()


def test_no_file_before_the_job_is_done(viewer: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    for name in ("download", "receipt"):
        assert "The job is new" in said(staff_client_of(viewer).get(page(job, name), follow=True))


def test_live_tells_rows_and_percent_by_one_query_of_its_own(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    jobs.start(editor, make_job(editor, acme))
    claim = jobs.claim("worker:1")
    assert claim is not None
    jobs.beat(claim, rows_done=1_500, rows_total=6_000)
    ids = ",".join([str(claim.job.pk), "not-an-id", "", str(uuid.uuid4())])
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"{LIST}live/?ids={ids}").json()["jobs"]
    assert len([query for query in queries if "exports_exportjob" in query["sql"]]) == 1
    assert len(queries) == 3  # session, user, jobs
    assert answer[0].pop("pace").startswith("1,500 rows a second, ")
    assert answer == [
        {
            "id": str(claim.job.pk),
            "name": "job",
            "status": "in progress",
            "badge": "badge badge-in-progress",
            "rows": "1,500 of 6,000 rows",
            "percent": 25.0,
            "percent_text": "25 %",
            "error": "",
            "live": True,
        }
    ]
    waiting = [make_queued(editor, acme) for _ in range(2)]
    paces = {job["id"]: job["pace"] for job in client.get(f"{LIST}live/?ids={','.join(str(job.pk) for job in waiting)}").json()["jobs"]}
    assert [paces[str(job.pk)] for job in waiting] == ["number 1 in the queue", "number 2 in the queue"]


def test_pages_carry_no_inline_script_or_style(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    for path in ("/admin/", LIST, ADD, page(job), "/admin/no-such-page/"):
        text = staff_client_of(editor).get(path).content.decode()
        assert "<style" not in text, path
        assert " style=" not in text, path
        assert "<script>" not in text, path


def test_a_list_of_ten_takes_as_many_queries_as_one_of_one(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        return len(queries)

    make_job(editor, acme)
    one = count()
    for number in range(9):
        with_file(make_job(editor, acme, f"Job {number}"))
    assert count() == one <= 14


def test_an_empty_list_says_what_to_do(viewer: User, editor: User, staff_client_of: StaffClientOf) -> None:
    assert ADD in staff_client_of(editor).get(LIST).content.decode()
    assert "Make the first one" in staff_client_of(editor).get(LIST).content.decode()
    assert "Make the first one" not in staff_client_of(viewer).get(LIST).content.decode()


# -- The whole way -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_create_and_start_run_and_download(editor: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    for number in range(3):
        Task.objects.create(organization=acme, title=f"Task {number}", created_at=datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC))
    client = staff_client_of(editor)
    job_page = client.post(ADD, form(acme, _start="1"))["Location"]
    job = ExportJob.objects.get()
    worker.run_next()
    text = client.get(job_page).content.decode()
    assert "badge-done" in text
    assert "data-live" not in text
    assert "3 rows" in text

    looker = staff_client_of(viewer)
    link = looker.get(page(job, "download"))
    response = looker.get(link["Location"])
    body = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    receipt = looker.get(page(job, "receipt")).json()["receipt"]
    assert (hashlib.sha256(body).hexdigest(), len(body), receipt["rows_written"]) == (receipt["sha256"], receipt["size"], 3)
    assert Download.objects.get().user == viewer
    assert "Viewer" in client.get(job_page).content.decode()


def test_a_role_taken_away_counts_at_once(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    client = staff_client_of(editor)
    assert client.get(page(job)).status_code == 200
    editor.memberships.update(role=Role.VIEWER)
    client.post(page(job, "start"))
    job.refresh_from_db()
    assert job.status == "new"
    editor.memberships.all().delete()
    assert client.get(page(job)).status_code == 302
