"""Configs and segments in use: what a config takes of its segment, and changes in the very moment in which something comes to use them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from exports.models import Destination, ExportConfig, ExportJob, ExportSchedule, Segment
from exports.services import configs, segments
from exports.services.deliveries import destinations
from exports.services.schedules import keeping, runs
from taskexport.errors import AppError, Conflict, Invalid, NotFound
from tasks.models import Organization, Task, User
from tests.api import JOBS, wish
from tests.scheduling import HOUR, make_schedule, now

pytestmark = pytest.mark.django_db
CONFIGS = "/api/v3/export-config"
OPEN = {"field_name": "status", "field_type": "keyword", "operator": "is", "value": "none"}
RECENT = {"field_name": "created_at", "field_type": "date", "operator": "relative_less_than", "time_factor": "day", "time_amount": 7}
CITY = {"column": "city", "op": "is", "value": "Oslo"}
NL = {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"}


def saved(user: User, organization: Organization, name: str = "Open", *rules: dict[str, Any], index: str = "tasks") -> Segment:
    return segments.create(user, organization, name, {"index": index, "rules": list(rules or [OPEN])})


# -- A config's segment --------------------------------------------------------------------------------------------
def test_a_job_freezes_its_config_s_segment(client_of: Any, admin: User, editor: User, acme: Organization) -> None:
    segment = saved(admin, acme, "Open ones of this week", OPEN, RECENT)
    config = configs.create(admin, acme, {"name": "Short", "columns": ["id"], "filter": CITY, "segment": segment})
    assert configs.in_words(config) == '(city is "Oslo") and (status is "none" and created_at is within the last 7 days)'
    other = saved(admin, acme, "Dutch", {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"})
    made = client_of(editor).post(JOBS, wish(acme, type="custom", config_id=config.pk, segment_id=other.pk))
    assert made.status_code == 201, made.json()
    tree = ExportJob.objects.get().spec["filter"]
    assert [tree["all"][0], tree["all"][1]["all"][0], tree["all"][2]["all"][0]] == [
        CITY,
        {"column": "status", "op": "is", "value": "none"},
        {"column": "country", "op": "is", "value": "NL"},
    ]
    assert tree["all"][1]["all"][1]["op"] == "between"  # pinned
    segments.update(admin, segment, "Open", {"index": "tasks", "rules": [OPEN]})
    assert ExportJob.objects.get().spec["filter"] == tree
    schedule = make_schedule(admin, acme, config=configs.get(admin, acme, config.pk))
    assert runs.wish_of(schedule, now()).spec.filter == {"all": [CITY, {"all": [{"column": "status", "op": "is", "value": "none"}]}]}
    assert runs.in_words(schedule) == '(city is "Oslo") and (status is "none")'
    schedule.rules = {"join": "all", "rules": [RECENT]}
    assert runs.in_words(schedule) == '((city is "Oslo") and (status is "none")) and (created_at is within the last 7 days)'
    schedule.dataset = "gone"
    assert "can't be read" in runs.in_words(schedule)
    assert runs.in_words(make_schedule(admin, acme)) == "all tasks"
    with pytest.raises(Conflict, match="configs use this segment"):
        segments.delete(admin, segment)
    with pytest.raises(Invalid, match="configs use this segment for tasks"):
        segments.update(admin, Segment.objects.get(pk=segment.pk), "Open", {"index": "users", "rules": [{**OPEN, "value": "x"}]})
    assert Segment.objects.get(pk=segment.pk).version == 2


def test_a_config_s_segment_over_rest_and_what_is_refused(
    client_of: Any, admin: User, outsider: User, acme: Organization, globex: Organization
) -> None:
    client, segment = client_of(admin), saved(admin, acme)
    users, foreign = saved(admin, acme, "Dutch", NL, index="users"), saved(outsider, globex)
    body = {"name": "Short", "fields": [{"id": "title", "component": "x", "title": "Task"}]}
    made = client.post(CONFIGS, {**body, "segmentId": str(segment.pk)})
    assert (made.status_code, made.json()["data"]["segmentId"], made.json()["data"]["inWords"]) == (201, str(segment.pk), 'status is "none"')
    path = f"{CONFIGS}/{made.json()['data']['_id']}"
    assert client.put(path, {**body, "description": "x"}).json()["data"]["segmentId"] == str(segment.pk)  # left out: as it is
    before = list(ExportConfig.objects.values())
    for wrong, status in ((str(users.pk), 400), (str(foreign.pk), 404), ("9" * 30, 404), ("x", 404)):
        assert client.put(path, {**body, "segmentId": wrong}).status_code == status
        assert client.post(CONFIGS, {**body, "name": "Other", "segmentId": wrong}).status_code == status
    assert list(ExportConfig.objects.values()) == before
    assert client.put(path, {**body, "segmentId": None}).json()["data"]["segmentId"] is None


def test_the_rows_of_a_segment(admin: User, acme: Organization, globex: Organization) -> None:
    for organization, title, status in ((acme, "a", "none"), (acme, "b", "complete"), (globex, "c", "none")):
        Task.objects.create(organization=organization, title=title, status=status, created_at=datetime.now(UTC))
    segment = saved(admin, acme, "Open ones of this week", OPEN, RECENT)
    assert [task.title for task in segments.apply(Task.objects.all(), segment)] == ["a"]
    later = datetime(2099, 1, 1, tzinfo=UTC)
    assert not segments.apply(Task.objects.all(), segment, now=later).exists()
    Segment.objects.update(rules=[{**OPEN, "field_name": "gone"}])
    with pytest.raises(Invalid, match="no such field"):
        segments.apply(Task.objects.all(), Segment.objects.get())


# -- In the very moment --------------------------------------------------------------------------------------------
@contextmanager
def in_between(meddle: Callable[[], Any]) -> Iterator[None]:
    """Somebody else's call, done and committed when all has been checked and before anything is written."""
    done: list[BaseException | None] = []

    def elsewhere() -> None:
        try:
            meddle()
        finally:
            connection.close()

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not done and (sql.startswith("BEGIN") or "FOR NO KEY UPDATE" in sql):
            done.append(None)
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join(20)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        yield
    assert done


@pytest.mark.django_db(transaction=True)
def test_what_is_changed_or_deleted_while_something_comes_to_use_it(admin: User, acme: Organization) -> None:
    config = configs.create(admin, acme, {"name": "Short", "columns": ["id"]})
    segment = saved(admin, acme)

    def scheduled() -> Any:
        return make_schedule(admin, acme, config=ExportConfig.objects.get(pk=config.pk), segment=Segment.objects.get(pk=segment.pk))

    def configured() -> Any:
        return configs.create(admin, acme, {"name": "Other", "columns": ["id"], "segment": Segment.objects.get(pk=segment.pk)})

    def change_config() -> None:
        configs.update(admin, ExportConfig.objects.get(pk=config.pk), {"dataset": "users", "columns": ["external_id"]})

    def change_segment() -> None:
        segments.update(admin, Segment.objects.get(pk=segment.pk), "Dutch", {"index": "users", "rules": [NL]})

    def back() -> None:
        configs.update(admin, ExportConfig.objects.get(pk=config.pk), {"dataset": "tasks", "columns": ["id"]})
        segments.update(admin, Segment.objects.get(pk=segment.pk), "Open", {"index": "tasks", "rules": [OPEN]})

    store = {"name": "Bucket", "bucket": "acme-exports", "access_key_id": "AKIA", "secret_access_key": "secret"}
    place = destinations.create(admin, acme, store)

    def copied() -> Any:
        when = {"kind": "daily", "timezone": "UTC"}
        return keeping.create(admin, acme, "copied", now() + HOUR, when, delivery={"destination": place.pk})

    def change_destination() -> None:
        destinations.update(admin, Destination.objects.get(pk=place.pk), {"prefix": "other"})

    cases: list[tuple[Callable[[], Any], Callable[[], Any], type[AppError]]] = [
        (copied, change_destination, Conflict),
        (copied, lambda: destinations.delete(admin, place), NotFound),
        (scheduled, change_config, Conflict),
        (scheduled, change_segment, Conflict),
        (configured, change_segment, Conflict),
        (scheduled, lambda: segments.delete(admin, segment), NotFound),
        (configured, lambda: segments.delete(admin, segment), NotFound),
        (scheduled, lambda: configs.delete(admin, config), NotFound),
    ]
    for use, meddle, refusal in cases:
        with pytest.raises(refusal), in_between(meddle):
            use()
        assert (ExportSchedule.objects.count(), ExportConfig.objects.filter(name="Other").count()) == (0, 0)
        if refusal is Conflict and meddle is not change_destination:
            back()
        if not Segment.objects.exists():
            segment = saved(admin, acme)
    config = configs.create(admin, acme, {"name": "Short", "columns": ["id"]})
    scheduled()
    # And the other way round: what is used stays of its data, and stays.
    for refused, error in ((change_config, Invalid), (change_segment, Invalid), (lambda: configs.delete(admin, config), Conflict)):
        with pytest.raises(error):
            refused()
    schedule = ExportSchedule.objects.select_related("config", "segment").get()
    assert (schedule.config.dataset, schedule.segment.dataset) == ("tasks", "tasks")
