"""Contract 1: jobs are made, listed, read and moved."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.settings import api_settings
from rest_framework.test import APIClient

from exports.models import ExportJob, JobAttempt
from exports.states import JobStatus
from taskexport.idempotency import KEEP_SECONDS
from tasks.models import IdempotencyKey, Member, Organization, Task, User
from tests.api import JOBS, at_once, content, export, make_job, rows, snapshot, wish

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db

JOB_FIELDS = {
    *("id", "org_id", "org_name", "name", "type", "status", "result", "creation_start_date", "creation_end_date", "version_rev", "version_seq"),
    *("format", "dataset", "trigger", "runner", "progress", "file", "attempt", "created_by", "created_at", "queued_at", "started_at", "finished_at"),
}
WRONG_KINDS: tuple[Any, ...] = (None, 5, True, [], {}, "")
STATUSES = list(JobStatus.values)


def error(response: Any, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The error's body, which has this status, code and rejected field."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error_code"]) == (status, code), body
    assert body["message"]
    assert field is None or [found["field"] for found in body["field_errors"]] == [field], body
    return body


# -- Creating ------------------------------------------------------------------------------------------------------
def test_the_sources_example_makes_a_new_job(client_of: ClientOf, editor: User, acme: Organization) -> None:
    response = client_of(editor).post(JOBS, wish(acme))
    job = response.json()["job"]
    assert response.status_code == 201
    assert response["Location"] == f"http://testserver{JOBS}/{job['id']}"
    assert set(job) == JOB_FIELDS | {"queue_position"}
    assert {key: job[key] for key in wish(acme)} == wish(acme)
    assert job["status"] == "new"
    assert job["result"] == {"error": "", "download_url": ""}
    assert job["version_seq"] == 0
    assert re.fullmatch("0-[0-9a-f]{8}", job["version_rev"])
    assert (job["format"], job["dataset"], job["trigger"], job["runner"], job["attempt"]) == ("csv", "tasks", "api", "internal", 0)
    assert job["progress"] == {"rows_done": 0, "rows_total": None, "percent": 0.0}
    assert job["created_by"] == {"id": editor.pk, "name": "Editor"}
    assert [job[key] for key in ("file", "queued_at", "started_at", "finished_at", "queue_position")] == [None] * 5


def test_an_organization_may_be_named_by_its_id(client_of: ClientOf, editor: User, acme: Organization) -> None:
    assert client_of(editor).post(JOBS, wish(acme, org_id=str(acme.pk))).json()["job"]["org_id"] == str(acme.uuid)


@pytest.mark.parametrize("field", list(wish(Organization())))
def test_each_of_the_six_fields_is_required(client_of: ClientOf, editor: User, acme: Organization, field: str) -> None:
    body = wish(acme)
    del body[field]
    error(client_of(editor).post(JOBS, body), 400, "invalid", field)
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in wish(Organization()) for value in WRONG_KINDS),
        ("name", "   "),
        ("name", "x" * 201),
        ("org_name", "x" * 201),
        ("type", "custom"),
        ("type", "Basic"),
        ("format", "xml"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "localtime"),
        ("creation_start_date", "2019-08-24T14:15:22"),
        ("creation_end_date", "2019-08-24T14:15:22"),
        ("creation_start_date", "yesterday"),
        ("creation_start_date", "2019-02-30"),
        ("creation_start_date", "2019-08-24T24:00:00Z"),
        ("creation_start_date", "٢٠١٩-08-24"),
        ("creation_end_date", "9999-12-31T23:59:59-01:00"),
        ("creation_end_date", "0001-01-01T00:00:00+01:00"),
        ("creation_end_date", "2019-08-24T14:15:21Z"),
        ("creation_end_date", "2019-08-23"),
        ("creation_end_date", "2019-08-24T14:15:21.9Z"),
    ],
)
def test_a_wrong_value_is_400_and_names_its_field(client_of: ClientOf, editor: User, acme: Organization, field: str, value: Any) -> None:
    error(client_of(editor).post(JOBS, wish(acme, **{field: value})), 400, "invalid", field)
    assert not ExportJob.objects.exists()


def test_all_that_is_wrong_is_said_at_once(client_of: ClientOf, editor: User, acme: Organization) -> None:
    body = wish(acme, type="x", format="y", creation_start_date="z")
    found = client_of(editor).post(JOBS, body).json()["field_errors"]
    assert {each["field"] for each in found} == {"type", "format", "creation_start_date"}


@pytest.mark.parametrize("field", ["status", "creation_from", "ORG_ID", "column", "__proto__"])
def test_an_unknown_field_is_400(client_of: ClientOf, editor: User, acme: Organization, field: str) -> None:
    found = error(client_of(editor).post(JOBS, wish(acme, **{field: "done"})), 400, "invalid", field)
    assert found["field_errors"][0]["code"] == "unknown"
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize(
    ("start", "end", "shown_start", "shown_end"),
    [
        ("2024-01-01", "2024-01-31", "2024-01-01T00:00:00Z", "2024-01-31T23:59:59.999999Z"),
        ("2024-01-01T02:00:00+02:00", "2024-01-31t23:59:59z", "2024-01-01T00:00:00Z", "2024-01-31T23:59:59Z"),
        ("2024-01-01 00:00:00Z", "2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.500000Z"),
        ("2024-01-01T00:00:00.123456789Z", "2024-01-01", "2024-01-01T00:00:00.123456Z", "2024-01-01T23:59:59.999999Z"),
        ("0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_every_form_of_a_time_is_read(
    client_of: ClientOf, editor: User, acme: Organization, start: str, end: str, shown_start: str, shown_end: str
) -> None:
    response = client_of(editor).post(JOBS, wish(acme, creation_start_date=start, creation_end_date=end))
    assert response.status_code == 201, response.json()
    job = response.json()["job"]
    assert (job["creation_start_date"], job["creation_end_date"]) == (shown_start, shown_end)


EDGES = {
    "before": "2024-01-31T23:59:58.999999+00:00",
    "first": "2024-01-31T23:59:59+00:00",
    "half": "2024-01-31T23:59:59.500000+00:00",
    "last": "2024-01-31T23:59:59.999999+00:00",
    "next": "2024-02-01T00:00:00+00:00",
}
WINDOWS = [
    ("2024-01-31", "2024-01-31", ["before", "first", "half", "last"]),
    ("2024-02-01", "2024-02-01", ["next"]),
    ("2024-01-31T23:59:59Z", "2024-01-31T23:59:59Z", ["first", "half", "last"]),
    ("2024-01-31T23:59:59.0Z", "2024-01-31T23:59:59.0Z", ["first"]),
    ("2024-01-31T23:59:59.5Z", "2024-01-31", ["half", "last"]),
    ("2024-02-01T00:59:59+01:00", "2024-02-01T01:00:00+01:00", ["first", "half", "last", "next"]),
    ("2024-01-31T23:59:58.999999Z", "2024-01-31T23:59:59.499999Z", ["before", "first"]),
]


@pytest.mark.django_db(transaction=True)
def test_both_bounds_are_inclusive_in_the_exported_rows(client_of: ClientOf, editor: User, acme: Organization) -> None:
    for reference, moment in EDGES.items():
        Task.objects.create(organization=acme, external_id=reference, title=reference, created_at=datetime.fromisoformat(moment))
    client = client_of(editor)
    for start, end, expected in WINDOWS:
        job = export(client, wish(acme, creation_start_date=start, creation_end_date=end))
        found = [row["reference"] for row in rows(content(client.get(f"{JOBS}/{job['id']}/download")))]
        assert found == expected, (start, end)
        assert (job["file"]["rows"], job["progress"]["rows_done"], job["progress"]["percent"]) == (len(expected), len(expected), 100.0)


@pytest.mark.django_db(transaction=True)
def test_times_are_written_in_the_jobs_zone(client_of: ClientOf, editor: User, acme: Organization) -> None:
    Task.objects.create(organization=acme, title="t", created_at=datetime(2024, 7, 1, 12, tzinfo=UTC))
    client = client_of(editor)
    job = export(client, wish(acme, creation_start_date="2024-07-01", creation_end_date="2024-07-01", timezone="Europe/Amsterdam"))
    assert rows(content(client.get(f"{JOBS}/{job['id']}/download")))[0]["created_at"] == "2024-07-01T14:00:00+02:00"


@pytest.mark.django_db(transaction=True)
def test_a_task_is_exported_by_its_own_time(client_of: ClientOf, editor: User, acme: Organization) -> None:
    task = Task.objects.create(organization=acme, title="t")  # at a time that the database gives
    task.refresh_from_db()
    at = task.created_at.isoformat(timespec="microseconds")
    assert export(client_of(editor), wish(acme, creation_start_date=at, creation_end_date=at))["file"]["rows"] == 1


def test_a_job_tells_its_maker_of_its_end_if_it_shall(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    for body, expected in ((wish(acme), False), (wish(acme, notify=False), False), (wish(acme, notify=True), True)):
        assert ExportJob.objects.get(pk=client.post(JOBS, body).json()["job"]["id"]).notify == expected
    for value in ("true", 1, None):
        error(client.post(JOBS, wish(acme, notify=value)), 400, "invalid", "notify")
    assert ExportJob.objects.count() == 3


# -- Idempotency-Key -----------------------------------------------------------------------------------------------
def test_the_same_key_and_body_replay_the_first_answer(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    first = client.post(JOBS, wish(acme), headers={"Idempotency-Key": "k"})
    reordered = dict(reversed(wish(acme).items()))
    second = client.post(f"{JOBS}/", reordered, headers={"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first["Location"] == second["Location"]
    assert ("Idempotent-Replayed" in first, second["Idempotent-Replayed"]) == (False, "true")
    assert ExportJob.objects.count() == 1


def test_the_same_key_with_another_body_is_422(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    client.post(JOBS, wish(acme), headers={"Idempotency-Key": "k"})
    error(client.post(JOBS, wish(acme, name="other"), headers={"Idempotency-Key": "k"}), 422, "idempotency_key_reused")
    assert ExportJob.objects.count() == 1


def test_a_key_is_its_users_own(client_of: ClientOf, editor: User, admin: User, acme: Organization) -> None:
    ids = {client_of(user).post(JOBS, wish(acme), headers={"Idempotency-Key": "k"}).json()["job"]["id"] for user in (editor, admin)}
    assert len(ids) == 2


def test_a_refused_call_keeps_no_key(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    assert client.post(JOBS, wish(acme, type="x"), headers={"Idempotency-Key": "k"}).status_code == 400
    assert client.post(JOBS, wish(acme), headers={"Idempotency-Key": "k"}).status_code == 201


def test_a_key_is_free_again_after_a_day(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    client.post(JOBS, wish(acme), headers={"Idempotency-Key": "k"})
    IdempotencyKey.objects.update(created_at=datetime.now(UTC) - timedelta(seconds=KEEP_SECONDS + 1))
    assert client.post(JOBS, wish(acme, name="other"), headers={"Idempotency-Key": "k"}).status_code == 201
    assert ExportJob.objects.count() == 2


@pytest.mark.parametrize("key", ["", " ", '""', "x" * 256, "a\tb"])
def test_a_malformed_key_is_400(client_of: ClientOf, editor: User, acme: Organization, key: str) -> None:
    error(client_of(editor).post(JOBS, wish(acme), headers={"Idempotency-Key": key}), 400, "invalid", "Idempotency-Key")
    assert not ExportJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_calls_at_once_with_one_key_make_one_job(client_of: ClientOf, editor: User, acme: Organization) -> None:
    clients = [client_of(editor) for _ in range(4)]
    answers = at_once(4, lambda n: clients[n].post(JOBS, wish(acme), headers={"Idempotency-Key": "k"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["job"]["id"] for answer in answers}) == 1
    assert ExportJob.objects.count() == 1


def test_a_replay_to_someone_who_lost_the_organization_is_404(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client_of(editor).post(JOBS, wish(acme), headers={"Idempotency-Key": "k"})
    Member.objects.filter(user=editor).delete()
    error(client_of(editor).post(JOBS, wish(acme), headers={"Idempotency-Key": "k"}), 404, "not_found")


# -- The list ------------------------------------------------------------------------------------------------------
def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [job["name"] for job in response.json()["jobs"]]


def some_jobs(organization: Organization, user: User, count: int) -> list[ExportJob]:
    """Jobs named 0, 1, …, a day apart from 2024-01-01 noon; every third shares its time with the next."""
    made = []
    for number in range(count):
        day = number - (number % 3 == 1)
        made.append(make_job(organization, user, name=str(number), created_at=datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)))
    return made


def test_the_list_is_newest_first_with_meta(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    for number in range(3):
        make_job(acme, viewer, name=str(number), created_at=datetime(2024, 1, 1 + number, tzinfo=UTC))
    response = client_of(viewer).get(JOBS)
    assert names(response) == ["2", "1", "0"]
    assert response.json()["meta"] == {"page": 1, "per_page": 50, "total": 3}
    assert set(response.json()["jobs"][0]) == JOB_FIELDS
    assert "Link" not in response


def test_pages_and_cursors_give_each_job_once_in_the_same_order(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    some_jobs(acme, viewer, 10)
    client = client_of(viewer)
    everything = names(client.get(JOBS))
    paged = [name for page in (1, 2, 3, 4) for name in names(client.get(f"{JOBS}?page={page}&per_page=3"))]
    followed: list[str] = []
    response = client.get(f"{JOBS}?per_page=3")
    while True:
        followed += names(response)
        if "Link" not in response:
            break
        url, _, relation = response["Link"].partition("; ")
        assert relation == 'rel="next"'
        response = client.get(url.strip("<>").removeprefix("http://testserver"))
    assert len(everything) == 10
    assert everything == paged == followed
    assert names(client.get(JOBS, {"page": 5, "per_page": 3})) == []


def test_a_cursor_keeps_its_place_when_jobs_are_added(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    some_jobs(acme, viewer, 4)
    client = client_of(viewer)
    first = client.get(f"{JOBS}?per_page=2&type=basic")
    make_job(acme, viewer, name="newest")
    second = client.get(first["Link"].partition("; ")[0].strip("<>").removeprefix("http://testserver"))
    assert sorted(names(first) + names(second)) == ["0", "1", "2", "3"]


def test_filters_choose_jobs(client_of: ClientOf, owner: User, acme: Organization, globex: Organization) -> None:
    make_job(acme, owner, name="a", created_at=datetime(2024, 1, 1, 12, tzinfo=UTC))
    make_job(acme, owner, JobStatus.IN_PROGRESS, name="b", type="fedex", created_at=datetime(2024, 1, 2, 12, tzinfo=UTC))
    make_job(globex, owner, JobStatus.FAILED, name="c", created_at=datetime(2024, 1, 3, 12, 0, 0, 1, tzinfo=UTC))
    client = client_of(owner)
    for query, expected in [
        ("", "cba"),
        ("status=in+progress", "b"),
        ("status=in%20progress", "b"),
        ("status=done", ""),
        ("type=basic", "ca"),
        (f"org_id={globex.uuid}", "c"),
        (f"org_id={acme.pk}", "ba"),
        ("created_from=2024-01-02", "cb"),
        ("created_to=2024-01-02", "ba"),
        ("created_from=2024-01-02T12:00:00Z&created_to=2024-01-03T12:00:00Z", "cb"),
        ("created_to=2024-01-03T12:00:00.0Z", "ba"),
        ("created_from=2024-01-02T14:00:00%2B02:00", "cb"),
        ("created_from=2024-01-02T14:00:00+02:00", "cb"),
        ("created_from=2024-01-02%2012:00:00Z", "cb"),
        (f"type=basic&status=failed&org_id={globex.pk}", "c"),
    ]:
        response = client.get(f"{JOBS}?{query}")
        assert "".join(names(response)) == expected, query
        assert response.json()["meta"]["total"] == len(expected)


def test_a_job_is_found_by_its_own_time(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    client = client_of(viewer)
    for _ in range(3):
        make_job(acme, viewer)  # at a time that the database gives
    for job in client.get(JOBS).json()["jobs"]:
        found = client.get(JOBS, {"created_from": job["created_at"], "created_to": job["created_at"]}).json()["jobs"]
        assert job in found
    assert len(client.get(JOBS, {"created_from": "0001-01-01", "created_to": "9999-12-31"}).json()["jobs"]) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("state=done", "state"), ("Status=done", "Status"), ("status=Done", "status"), ("status=", "status"), ("type=Custom", "type")),
        *(("page=0", "page"), ("page=-1", "page"), ("page=1.5", "page"), ("page=x", "page"), ("page=", "page"), ("page=1000001", "page")),
        *(("per_page=201", "per_page"), ("per_page=0", "per_page"), ("per_page=%D9%A3", "per_page"), ("page=1&page=2", "page")),
        # Long numbers: neither more than is allowed, nor more than int() reads.
        ("per_page=0000000000010000", "per_page"),
        (f"page={'0' * 11}1{'9' * 5000}", "page"),
        *(("created_from=2024-01-01T00:00:00", "created_from"), ("created_to=x", "created_to"), ("cursor=x", "cursor"), ("cursor=", "cursor")),
        ("page=1&cursor=x", "cursor"),
        # Built by hand: 0001-01-01T00:00:00+14:00, which no calendar has in UTC
        ("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCAwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA=", "cursor"),
        ("cursor=MjAyNC0wMS0wMQAgeA==", "cursor"),
    ],
)
def test_a_wrong_filter_is_400_and_never_the_whole_list(client_of: ClientOf, viewer: User, acme: Organization, query: str, field: str) -> None:
    error(client_of(viewer).get(f"{JOBS}?{query}"), 400, "invalid", field)


@pytest.mark.parametrize("query", ["&".join(f"a{n}=1" for n in range(1001)), "status=%00", "%00=1"])
def test_a_monstrous_query_is_400(client_of: ClientOf, viewer: User, query: str) -> None:
    response = client_of(viewer).get(f"{JOBS}?{query}")
    assert response.status_code == 400
    assert response.json()["message"]


@pytest.mark.parametrize("name", ["00000000-0000-0000-0000-000000000000", "0", "9" * 30, "x"])
def test_an_unknown_organization_in_the_filter_is_404(client_of: ClientOf, viewer: User, name: str) -> None:
    error(client_of(viewer).get(JOBS, {"org_id": name}), 404, "not_found")


def test_the_list_takes_as_many_queries_for_ten_jobs_as_for_one(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    counts = []
    for more in (1, 9):
        for _ in range(more):
            make_job(acme, viewer, JobStatus.DONE)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            names(client_of(viewer).get(JOBS))
        counts.append(len(queries))
    assert counts[0] == counts[1] == 5  # organizations, platforms, total, ids, jobs


# -- Reading -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", STATUSES)
def test_a_job_is_polled_while_it_runs(client_of: ClientOf, viewer: User, acme: Organization, status: str) -> None:
    response = client_of(viewer).get(f"{JOBS}/{make_job(acme, viewer, status).pk}")
    assert response.json()["job"]["status"] == status
    assert response.get("Retry-After") == ("2" if status in {"queued", "in progress"} else None)


def test_a_running_job_tells_its_progress(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    job = make_job(acme, viewer, JobStatus.IN_PROGRESS, attempt=2)
    JobAttempt.objects.create(job=job, number=1, token="a", worker="w", rows_done=9, rows_total=9)
    JobAttempt.objects.create(job=job, number=2, token="b", worker="w", rows_done=1, rows_total=3)
    assert client_of(viewer).get(f"{JOBS}/{job.pk}").json()["job"]["progress"] == {"rows_done": 1, "rows_total": 3, "percent": 33.3}


def test_a_queued_job_knows_its_place(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    queued = [make_job(acme, viewer, JobStatus.QUEUED, queued_at=datetime(2024, 1, 1, hour, tzinfo=UTC)) for hour in (1, 2, 3)]
    client = client_of(viewer)
    assert [client.get(f"{JOBS}/{job.pk}").json()["job"]["queue_position"] for job in queued] == [1, 2, 3]
    last = make_job(acme, viewer, JobStatus.QUEUED)  # at a time that the database gives
    assert client.get(f"{JOBS}/{last.pk}").json()["job"]["queue_position"] == 4


@pytest.mark.parametrize("status", STATUSES)
def test_an_unchanged_job_is_304(client_of: ClientOf, viewer: User, acme: Organization, status: str) -> None:
    path = f"{JOBS}/{make_job(acme, viewer, status).pk}"
    client = client_of(viewer)
    tag = client.get(path)["ETag"]
    assert tag.startswith('W/"')
    response = client.get(path, headers={"If-None-Match": f'"other", {tag}'})
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", tag)
    ExportJob.objects.update(name="changed")
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_the_list_has_an_etag_too(client_of: ClientOf, viewer: User, acme: Organization) -> None:
    make_job(acme, viewer, JobStatus.DONE)
    client = client_of(viewer)
    assert client.get(JOBS, headers={"If-None-Match": client.get(JOBS)["ETag"]}).status_code == 304


@pytest.mark.parametrize("job_id", ["x", "00000000-0000-0000-0000-000000000000", "1", "%00", "..", "%F0%9F", "a" * 5000])
def test_an_id_that_is_none_is_404(client_of: ClientOf, admin: User, job_id: str) -> None:
    client = client_of(admin)
    for path in ("", "/events", "/receipt", "/download", "/downloads"):
        response = client.get(f"{JOBS}/{job_id}{path}")
        assert (response.status_code, response.json()["error_code"]) == (404, "not_found")
    for path in ("/start", "/cancel", "/retry", "/again"):
        assert client.post(f"{JOBS}/{job_id}{path}").status_code == 404


# -- Transitions ---------------------------------------------------------------------------------------------------
MOVES = {
    "start": ({"new"}, "queued"),
    "cancel": ({"new", "queued", "in progress"}, "cancelled"),
    "retry": ({"failed", "cancelled"}, "queued"),
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("verb", list(MOVES))
def test_a_move_is_allowed_from_its_statuses_alone(client_of: ClientOf, editor: User, acme: Organization, verb: str, status: str) -> None:
    job = make_job(acme, editor, status)
    before = snapshot(job)
    response = client_of(editor).post(f"{JOBS}/{job.pk}/{verb}")
    allowed, to = MOVES[verb]
    if status in allowed:
        found = response.json()["job"]
        assert (response.status_code, found["status"], found["version_seq"]) == (200, to, 1)
        assert found["version_rev"] != job.version_rev
        assert job.events.order_by("-pk")[0].to_status == to
    else:
        assert status in error(response, 409, "wrong_status")["message"]
        assert snapshot(job) == before


def test_a_start_by_put_is_a_start(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    assert client_of(editor).put(f"{JOBS}/{job.pk}/start", {"version_rev": job.version_rev}).json()["job"]["status"] == "queued"


@pytest.mark.parametrize("verb", list(MOVES))
def test_a_stale_version_rev_is_409_and_changes_nothing(client_of: ClientOf, editor: User, acme: Organization, verb: str) -> None:
    job = make_job(acme, editor, "failed" if verb == "retry" else "new")
    before, client = snapshot(job), client_of(editor)
    for version in ("0-xxxxxxxx", f"1{job.version_rev[1:]}", "x"):
        error(client.post(f"{JOBS}/{job.pk}/{verb}", {"version_rev": version}), 409, "stale_version")
    assert snapshot(job) == before
    assert client.post(f"{JOBS}/{job.pk}/{verb}", {"version_rev": job.version_rev}).status_code == 200


@pytest.mark.parametrize("body", [{"version_rev": ""}, {"version_rev": None}, {"version_rev": 0}, {"version": "0-xxxxxxxx"}, [], "x", None, 5])
def test_a_move_with_a_wrong_body_is_400(client_of: ClientOf, editor: User, acme: Organization, body: Any) -> None:
    job = make_job(acme, editor)
    before = snapshot(job)
    response = client_of(editor).post(f"{JOBS}/{job.pk}/start", json.dumps(body), content_type="application/json")
    assert response.status_code == 400
    assert snapshot(job) == before


def test_a_stale_if_match_is_412_and_changes_nothing(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    client, path = client_of(editor), f"{JOBS}/{job.pk}"
    stale = client.get(path)["ETag"]
    assert client.post(f"{path}/start", headers={"If-Match": stale}).status_code == 200
    before = snapshot(job)
    for header in (stale, '"0-xxxxxxxx"', "x", ""):
        error(client.post(f"{path}/cancel", headers={"If-Match": header}), 412, "stale_etag")
    assert snapshot(job) == before
    fresh = client.get(path)["ETag"]
    assert client.post(f"{path}/cancel", headers={"If-Match": f"{stale}, {fresh}"}).status_code == 200
    assert client.post(f"{path}/retry", headers={"If-Match": "*"}).status_code == 200
    assert client.post(f"{path}/cancel", headers={"If-Match": ExportJob.objects.get().version_rev}).status_code == 200


def test_progress_and_the_queue_do_not_make_an_etag_stale(client_of: ClientOf, editor: User, acme: Organization) -> None:
    first, second = (make_job(acme, editor, JobStatus.QUEUED, queued_at=datetime(2024, 1, day, tzinfo=UTC)) for day in (1, 2))
    client = client_of(editor)
    tag = client.get(f"{JOBS}/{second.pk}")["ETag"]
    assert client.post(f"{JOBS}/{first.pk}/cancel").status_code == 200
    assert client.get(f"{JOBS}/{second.pk}")["ETag"] != tag
    assert client.post(f"{JOBS}/{second.pk}/cancel", headers={"If-Match": tag}).status_code == 200


@pytest.mark.parametrize("status", STATUSES)
def test_again_makes_a_new_job_of_the_same_spec_once_it_has_ended(
    client_of: ClientOf, editor: User, admin: User, acme: Organization, status: str
) -> None:
    job = make_job(acme, admin, status)
    before = snapshot(job)
    response = client_of(editor).post(f"{JOBS}/{job.pk}/again", headers={"Idempotency-Key": "k"})
    if status in {"done", "failed", "cancelled"}:
        twin = ExportJob.objects.get(pk=response.json()["job"]["id"])
        assert response.status_code == 201
        assert response["Location"].endswith(f"{JOBS}/{twin.pk}")
        assert (twin.status, twin.spec, twin.again_of, twin.created_by) == ("new", job.spec, job, editor)
        assert client_of(editor).post(f"{JOBS}/{job.pk}/again", headers={"Idempotency-Key": "k"}).json() == response.json()
    else:
        assert status in error(response, 409, "wrong_status")["message"]
    assert ExportJob.objects.count() == 1 + (response.status_code == 201)
    assert snapshot(job) == before


@pytest.mark.django_db(transaction=True)
def test_of_two_starts_at_once_one_wins(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    clients = [client_of(editor) for _ in range(4)]
    answers = at_once(4, lambda n: clients[n].post(f"{JOBS}/{job.pk}/start").status_code)
    assert sorted(answers) == [200, 409, 409, 409]
    assert ExportJob.objects.get().version_seq == 1


def test_the_timeline_says_who_did_what(client_of: ClientOf, editor: User, admin: User, viewer: User, acme: Organization) -> None:
    job = client_of(editor).post(JOBS, wish(acme)).json()["job"]
    client_of(editor).post(f"{JOBS}/{job['id']}/start")
    client_of(admin).post(f"{JOBS}/{job['id']}/cancel")
    events = client_of(viewer).get(f"{JOBS}/{job['id']}/events").json()["events"]
    assert [(event["kind"], event["from_status"], event["to_status"], event["actor"]["id"]) for event in events] == [
        ("created", None, "new", editor.pk),
        ("started", "new", "queued", editor.pk),
        ("cancelled", "queued", "cancelled", admin.pk),
    ]


# -- Who may -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("role", "status"), [("outsider", 404), ("viewer", 403), ("owner", 403), ("editor", 201), ("admin", 201)])
def test_who_may_create(request: pytest.FixtureRequest, client_of: ClientOf, acme: Organization, role: str, status: int) -> None:
    user = request.getfixturevalue(role)
    assert client_of(user).post(JOBS, wish(acme)).status_code == status
    assert ExportJob.objects.count() == (status == 201)


@pytest.mark.parametrize("verb", list(MOVES))
@pytest.mark.parametrize(("role", "status"), [("outsider", 404), ("viewer", 403), ("owner", 403), ("editor", 403), ("admin", 200)])
def test_who_may_move_another_persons_job(
    request: pytest.FixtureRequest, client_of: ClientOf, acme: Organization, verb: str, role: str, status: int
) -> None:
    maker = User.objects.create_user("maker@example.com")
    Member.objects.create(organization=acme, user=maker, role="editor", name="Maker")
    job = make_job(acme, maker, "failed" if verb == "retry" else "new")
    before = snapshot(job)
    assert client_of(request.getfixturevalue(role)).post(f"{JOBS}/{job.pk}/{verb}").status_code == status
    assert (snapshot(job) == before) == (status != 200)


def test_a_maker_who_became_a_viewer_may_not_start(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    Member.objects.filter(user=editor).update(role="viewer")
    error(client_of(editor).post(f"{JOBS}/{job.pk}/start"), 403, "forbidden")
    assert ExportJob.objects.get().status == "new"


# -- The common rules ----------------------------------------------------------------------------------------------
def test_every_call_answers_with_and_without_a_slash(client_of: ClientOf, editor: User, acme: Organization) -> None:
    client = client_of(editor)
    for slash in ("", "/"):
        job = client.post(f"{JOBS}{slash}", wish(acme)).json()["job"]
        path = f"{JOBS}/{job['id']}"
        assert client.get(f"{JOBS}{slash}").status_code == 200
        assert client.get(f"{path}{slash}").status_code == 200
        assert [client.post(f"{path}/{verb}{slash}").status_code for verb in ("start", "cancel", "retry", "cancel", "again")] == [*[200] * 4, 201]
        assert client.get(f"{path}/events{slash}").status_code == 200


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/v1/", "/api/v1/export-jobs/x/y/z", "/api/v9/export-jobs", "/api/%00"])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_a_wrong_path_is_404_in_json(path: str, method: str) -> None:
    response = getattr(Client(enforce_csrf_checks=True), method)(path)
    assert (response.status_code, response.json()["error_code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("put", ""), ("delete", ""), ("put", "/{}"), ("patch", "/{}"), ("get", "/{}/start"), ("put", "/{}/cancel")]
)
def test_a_wrong_method_is_405_in_json(client_of: ClientOf, admin: User, acme: Organization, method: str, path: str) -> None:
    job = make_job(acme, admin)
    response = getattr(client_of(admin), method)(JOBS + path.format(job.pk))
    assert (response.status_code, response.json()["error_code"]) == (405, "method_not_allowed")
    assert "Allow" in response


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "json"])
def test_a_body_that_is_not_json_is_415(client_of: ClientOf, editor: User, acme: Organization, kind: str) -> None:
    response = client_of(editor).generic("POST", JOBS, json.dumps(wish(acme)), content_type=kind)
    error(response, 415, "unsupported_media_type")
    assert not ExportJob.objects.exists()


def test_json_is_taken_under_any_spelling_of_its_type(client_of: ClientOf, editor: User, acme: Organization) -> None:
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        assert client_of(editor).generic("POST", JOBS, json.dumps(wish(acme)), content_type=kind).status_code == 201


def test_curl_without_a_body_moves_a_job(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    response = client_of(editor).generic("POST", f"{JOBS}/{job.pk}/start", "", content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200


def test_white_space_is_not_taken_for_an_empty_body(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    before = snapshot(job)
    error(client_of(editor).generic("POST", f"{JOBS}/{job.pk}/start", "\n", content_type="application/json"), 400, "invalid_json")
    assert snapshot(job) == before


def test_a_body_that_is_too_large_is_413(client_of: ClientOf, editor: User, acme: Organization, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
    error(client_of(editor).post(JOBS, wish(acme, name="x" * 1024 * 1024)), 413, "too_large")
    assert not ExportJob.objects.exists()


def test_a_chunked_body_is_refused_and_not_taken_for_an_empty_one(client_of: ClientOf, editor: User, acme: Organization) -> None:
    job = make_job(acme, editor)
    error(client_of(editor).post(f"{JOBS}/{job.pk}/start", headers={"Transfer-Encoding": "chunked"}), 411, "length_required")
    assert ExportJob.objects.get().status == "new"


HOSTILE = {
    "broken": b'{"name": ',
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "two keys": b'{"name": "a", "name": "b"}',
    "deep": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deeper than allowed": b'{"name": ' + b"[" * 30 + b"]" * 30 + b"}",
    "wide": b'{"name": [' + b"0," * 300_000 + b"0]}",
    "long number": b'{"name": ' + b"9" * 5000 + b"}",
    "NUL": b'{"name": "a\\u0000b"}',
    "NUL in a key": b'{"a\\u0000b": 1}',
    "half a pair": b'{"name": "\\ud800"}',
    "half a pair in a key": b'{"\\udfff": 1}',
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "number": b"5",
}


@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_json_is_400(client_of: ClientOf, editor: User, acme: Organization, body: bytes) -> None:
    response = client_of(editor).generic("POST", JOBS, body, content_type="application/json")  # type: ignore[arg-type]
    assert response.status_code == 400
    assert response.json()["error_code"].startswith("invalid")
    assert not ExportJob.objects.exists()


@pytest.mark.parametrize("field", ["org_id", "org_name", "name", "type", "creation_start_date", "format", "timezone"])
@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_no_database_keeps_is_400(client_of: ClientOf, editor: User, acme: Organization, field: str, text: str) -> None:
    response = client_of(editor).generic("POST", JOBS, json.dumps(wish(acme, **{field: text})), content_type="application/json")
    error(response, 400, "invalid_text")


def test_texts_are_kept_as_they_are(client_of: ClientOf, editor: User, acme: Organization) -> None:
    name = "  <b>Zoë</b> \u202e 👩‍🔧 =1+1 %s \\N "
    job = client_of(editor).post(JOBS, wish(acme, name=name, org_name=name)).json()["job"]
    assert (job["name"], job["org_name"]) == (name, name)


def test_too_many_calls_are_429_with_retry_after(
    client_of: ClientOf, viewer: User, editor: User, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "user", "3/min")
    client = client_of(viewer)
    assert [client.get(JOBS, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in range(4)] == [200, 200, 200, 429]
    response = client.get(JOBS)
    error(response, 429, "throttled")
    assert 1 <= int(response["Retry-After"]) <= 61
    assert client_of(editor).get(JOBS).status_code == 200


def test_every_answer_is_private(client_of: ClientOf, viewer: User) -> None:
    for response in (client_of(viewer).get(JOBS), client_of(viewer).get(f"{JOBS}/x"), APIClient().get(JOBS), Client().get("/api/x")):
        assert response["Cache-Control"] == "private, no-store"
        assert response["X-Content-Type-Options"] == "nosniff"
