"""A new export on one page: what it offers, what it refuses and where, what its buttons make, and what other pages hand over to it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exports.models import ExportConfig, ExportJob, JobEvent, Segment
from exports.services import configs, segments
from taskexport.assets import Assets
from tasks.models import Flow, Organization, Role, Task, User
from tests.making import make_job, make_tasks

StaffClientOf = Callable[[User], Client]
ADD = "/admin/exports/exportjob/add/"
PREFLIGHT = "/admin/exports/exportjob/preflight/"
STATUS = {"column": "status", "op": "is", "value": "none"}
THREE = [{"key": "title", "title": "What"}, {"title": "Source", "constant": "ours"}, {"key": "attributes.floor", "title": "Étage"}]


def page(job: ExportJob) -> str:
    return f"/admin/exports/exportjob/{job.pk}/change/"


def plain(organization: Organization, **values: Any) -> dict[str, Any]:
    """The form as a browser without JavaScript sends it."""
    return {
        "organization": organization.pk,
        "name": "January",
        "dataset": "tasks",
        "type": "basic",
        "format": "csv",
        "window": "dates",
        "creation_start_date": "2024-01-01",
        "creation_end_date": "2024-01-31",
        "timezone": "UTC",
        "nonce": str(uuid.uuid4()),
    } | values


def choices(organization: Organization, **values: Any) -> dict[str, Any]:
    """What the page's JavaScript keeps in `spec`."""
    return {"organization": organization.pk, "name": "January", "dataset": "tasks", "type": "custom", "columns": THREE, "window": "all"} | values


def scripted(organization: Organization, button: str = "_create", save_name: str = "", **values: Any) -> dict[str, Any]:
    """The form as the page's JavaScript sends it."""
    return {button: "1", "nonce": str(uuid.uuid4()), "spec": json.dumps(choices(organization, **values)), "save_name": save_name}


def fields(response: Any) -> set[str]:
    """Which fields the page shows errors at."""
    return {error["field"] for error in response.context["page"]["errors"]}


def made() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (ExportJob, JobEvent, ExportConfig, Segment))


# -- Making --------------------------------------------------------------------------------------------------------
def test_the_plain_form_makes_a_job_by_staff(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    assert client.get(ADD).context["choices"]["organization"] == acme.pk
    response = client.post(ADD, plain(acme, timezone="Europe/Amsterdam", type="fedex", _create="1"))
    job = ExportJob.objects.get()
    assert response["Location"] == page(job)
    assert (job.status, job.trigger, job.type, job.created_by, job.org_name) == ("new", "staff", "fedex", editor, "Acme")
    assert (job.spec["created_from"], job.spec["created_before"]) == ("2023-12-31T23:00:00+00:00", "2024-01-31T23:00:00+00:00")
    assert job.spec["timezone"] == "Europe/Amsterdam"


def test_the_plain_form_takes_windows_segments_and_configs(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    config = configs.create(admin, acme, {"name": "Mine", "columns": ["id", "city"], "timezone": "Asia/Tokyo"})
    rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
    segment = segments.create(admin, acme, "Oslo", {"index": "tasks", "rules": [rule]})
    client = staff_client_of(admin)
    text = client.get(ADD).content.decode()
    assert f'value="config-{config.pk}"' in text
    client.post(ADD, plain(acme, type=f"config-{config.pk}", segment_id=segment.pk, window="last_month", timezone=""))
    spec = ExportJob.objects.get().spec
    assert (spec["config_id"], [column["key"] for column in spec["columns"]], spec["timezone"]) == (config.pk, ["id", "city"], "Asia/Tokyo")
    assert spec["filter"] == {"all": [{"column": "city", "op": "is", "value": "Oslo"}]}
    assert datetime.fromisoformat(spec["created_before"]) < datetime.now(UTC)


def test_all_that_the_page_says_is_in_the_job(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    tree = {"any": [STATUS, {"not": {"all": [{"column": "created_at", "op": "within_last", "value": {"unit": "day", "amount": 2}}]}}]}
    wish: dict[str, Any] = {
        "filter": tree,
        "sort": [{"column": "city", "direction": "desc"}],
        "options": {"preset": "excel-europe", "archive": "none", "guard": "none"},
        "date_format": "dmy",
        "timezone": "America/New_York",
    }
    response = staff_client_of(admin).post(ADD, scripted(acme, "_start", **wish))
    job = ExportJob.objects.get()
    assert response["Location"] == page(job)
    assert (job.status, job.type, job.spec["columns"]) == ("queued", "custom", THREE)
    assert job.spec["filter"]["any"][1]["not"]["all"][0]["op"] == "between"  # pinned
    assert job.spec["options"] | {"delimiter": ";", "bom": True, "archive": "none", "guard": "none"} == job.spec["options"]
    assert (job.spec["sort"], job.spec["date_format"], job.spec["timezone"]) == (wish["sort"], "dmy", "America/New_York")


def test_the_organization_s_own_zone_unless_said(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    Organization.objects.filter(pk=acme.pk).update(timezone="America/New_York")
    staff_client_of(editor).post(ADD, plain(acme, timezone=""))
    assert ExportJob.objects.get().creation_start_date == datetime(2024, 1, 1, 5, tzinfo=UTC)


def test_a_day_on_which_clocks_change_is_whole(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    day = {"creation_start_date": "2024-10-27", "creation_end_date": "2024-10-27", "timezone": "Europe/Amsterdam"}
    staff_client_of(editor).post(ADD, plain(acme, **day))
    spec = ExportJob.objects.get().spec
    assert (spec["created_from"], spec["created_before"]) == ("2024-10-26T22:00:00+00:00", "2024-10-27T23:00:00+00:00")


def test_a_second_click_makes_nothing_more_and_another_wish_another(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    wish = scripted(acme, "_start")
    assert client.post(ADD, wish)["Location"] == client.post(ADD, wish)["Location"]
    assert ExportJob.objects.get().status == "queued"
    client.post(ADD, wish | {"spec": json.dumps(choices(acme, name="February"))})
    assert ExportJob.objects.count() == 2
    save = scripted(acme, "_config", "Three")
    assert [client.post(ADD, save).status_code for _ in range(2)] == [302, 302]
    assert ExportConfig.objects.get().version == 1


# -- Refusals ------------------------------------------------------------------------------------------------------
def test_a_wrong_plain_wish_is_refused_at_its_field(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    for values, field in (
        ({"creation_end_date": "2023-12-31"}, "creation_end_date"),
        ({"creation_start_date": "0001-01-01"}, "creation_start_date"),
        ({"creation_end_date": "9999-12-31"}, "creation_end_date"),
        ({"creation_end_date": "soon"}, "creation_end_date"),
        ({"creation_end_date": ""}, "creation_end_date"),
        ({"window": "soon"}, "window"),
        ({"dataset": "wishes"}, "dataset"),
        ({"type": "other"}, "type"),
        ({"type": "config-77"}, "config_id"),
        ({"type": "config-x"}, "config_id"),
        ({"segment_id": "77"}, "segment_id"),
        ({"format": "exe"}, "format"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"organization": ""}, "organization"),
        ({"organization": "77"}, "organization"),
    ):
        response = client.post(ADD, plain(acme) | values)
        assert (response.status_code, fields(response)) == (200, {field}), values
        assert f'data-error="{field}"' in response.content.decode()
    assert client.post(ADD, plain(acme, nonce="x")).status_code == 200
    assert made() == (0, 0, 0, 0)


def test_a_wrong_choice_is_refused_at_its_place_and_nothing_typed_is_lost(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    columns = [*THREE, {"key": "nothing", "title": "What"}]
    tree = {"all": [STATUS, {"column": "due_on", "op": "before", "value": ""}]}
    for values, expected in (
        ({"columns": columns}, {"columns[3].key"}),
        ({"columns": []}, {"columns"}),
        ({"filter": tree}, {"filter.all[1].value"}),
        ({"filter": {"all": []}, "options": {"colour": "red"}}, {"filter.all", "options.colour"}),
        ({"sort": [{"column": "nothing"}]}, {"sort[0].column"}),
        ({"surprise": 1}, {"surprise"}),
        ({"name": 7}, {"name"}),
        ({"columns": "id"}, {"columns"}),
        ({"columns": [{"key": "title", "title": "Same"}, {"key": "city", "title": "Same"}], "name": ""}, {"columns[1].title", "name"}),
    ):
        response = client.post(ADD, scripted(acme, "_start", **values))
        assert (response.status_code, fields(response)) == (200, expected), values
        assert response.context["page"]["choices"] == choices(acme, **values)
    for text in ("[]", "{", "[" * 5000, '{"name": "\\ud800"}', '{"window": NaN}', "null"):
        assert client.post(ADD, {"spec": text, "nonce": str(uuid.uuid4())}).status_code == 200
    assert made() == (0, 0, 0, 0)


def test_the_guard_is_taken_off_by_admins_alone(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    wish = scripted(acme, options={"guard": "none"})
    response = staff_client_of(editor).post(ADD, wish)
    assert "does not allow" in response.context["errors"]["all"][0]["text"]
    assert not ExportJob.objects.exists()
    staff_client_of(admin).post(ADD, wish)
    assert ExportJob.objects.get().spec["options"]["guard"] == "none"


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("owner", 403), ("outsider", 200)])
def test_nothing_of_an_organization_where_one_may_not_run(
    request: pytest.FixtureRequest, role: str, status: int, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    config = configs.create(admin, acme, {"name": "Secret", "columns": ["id"]})
    client = staff_client_of(request.getfixturevalue(role))
    for answer in (client.get(ADD), client.get(f"{ADD}?config={config.pk}"), client.get(f"{ADD}?from_job={make_job(admin, acme).pk}")):
        assert answer.status_code == status
        assert "Acme" not in answer.content.decode()
        assert "Secret" not in answer.content.decode()
    before = made()
    for button in ("_create", "_start", "_config", "_segment", "_repeat"):
        assert client.post(ADD, scripted(acme, button, "name", filter=STATUS)).status_code == status
    found = client.post(PREFLIGHT, choices(acme), content_type="application/json")
    assert found.status_code == (404 if role == "outsider" else 403)
    assert client.get(f"/admin/exports/exportjob/offered/{acme.pk}/").status_code == found.status_code
    assert made() == before


def test_what_is_another_organization_s_is_not_found(
    admin: User, outsider: User, acme: Organization, globex: Organization, staff_client_of: Any
) -> None:
    theirs = configs.create(outsider, globex, {"name": "Theirs", "columns": ["id"]})
    rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
    segment = segments.create(outsider, globex, "Theirs too", {"index": "tasks", "rules": [rule]})
    client = staff_client_of(admin)
    before = made()
    for values in ({"config_id": theirs.pk, "columns": None}, {"segment_id": segment.pk}):
        response = client.post(ADD, scripted(acme, **values))
        assert "There is no such" in response.context["page"]["errors"][0]["detail"]
    for link in (
        f"?config={theirs.pk}",
        f"?segment={segment.pk}",
        "?config=x",
        "?from_job=x",
        f"?from_job={uuid.uuid4()}",
        "?spec={",
        "?spec=[]",
        "?draft=x",
    ):
        response = client.get(ADD + link)
        assert response.status_code == 200, link
        assert "Theirs" not in response.content.decode()
    assert made() == before


# -- Saving and repeating ------------------------------------------------------------------------------------------
def test_save_as_config_keeps_columns_and_conditions_and_chooses_it(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    relative = {"column": "due_on", "op": "within_next", "value": {"unit": "week", "amount": 1}}
    answer = client.post(ADD, scripted(acme, "_config", "Mine", filter=relative, timezone="Asia/Tokyo"))
    config = ExportConfig.objects.get()
    assert (config.columns, config.filter, config.timezone, config.created_by) == (THREE, relative, "Asia/Tokyo", admin)
    begun = client.get(answer["Location"]).context["choices"]
    assert (begun["config_id"], begun["window"], begun["name"]) == (config.pk, "all", "January")
    assert not {"columns", "filter"} & set(begun)
    # Saved once more with more conditions, both hold.
    client.post(ADD, scripted(acme, "_config", "Narrower", columns=None, config_id=config.pk, filter=STATUS))
    assert ExportConfig.objects.get(name="Narrower").filter == {"all": [relative, STATUS]}
    for name in ("", "MINE", "basic"):
        assert fields(client.post(ADD, scripted(acme, "_config", name))) == {"save_name"}
    # A segment goes with it, and one alone.
    rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
    oslo, other = (segments.create(admin, acme, name, {"index": "tasks", "rules": [rule]}) for name in ("Oslo", "Other"))
    client.post(ADD, scripted(acme, "_config", "Of Oslo", segment_id=oslo.pk))
    of_oslo = ExportConfig.objects.get(name="Of Oslo")
    assert of_oslo.segment == oslo
    assert fields(client.post(ADD, scripted(acme, "_config", "Both", columns=None, config_id=of_oslo.pk, segment_id=other.pk))) == {"segment_id"}
    assert (ExportConfig.objects.count(), ExportJob.objects.count()) == (3, 0)


def test_save_as_segment_keeps_conditions_that_rules_can_say(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    tree = {
        "any": [
            STATUS,
            {"column": "latitude", "op": "between", "value": ["-1.5", "2"]},
            {"column": "created_at", "op": "more_than_ago", "value": {"unit": "month", "amount": 3}},
            {"column": "due_on", "op": "on", "value": "2024-02-29"},
        ]
    }
    answer = client.post(ADD, scripted(acme, "_segment", "Some", filter=tree))
    segment = Segment.objects.get()
    assert segments.tree(segments.definition(segment), now=None, zone="UTC") == tree
    begun = client.get(answer["Location"]).context["choices"]
    assert (begun["segment_id"], begun.get("filter"), begun["columns"]) == (segment.pk, None, THREE)
    for wrong, expected in (
        (None, "filter"),
        ({"not": STATUS}, "filter"),
        ({"all": [STATUS, {"any": [STATUS, STATUS]}]}, "filter.all[1]"),
        ({"all": [STATUS, {"column": "city", "op": "starts_with", "value": "O"}]}, "filter.all[1].op"),
        ({"column": "city", "op": "is_empty"}, "filter.op"),
    ):
        assert fields(client.post(ADD, scripted(acme, "_segment", "Other", filter=wrong))) == {expected}
    assert fields(client.post(ADD, scripted(acme, "_segment", "SOME", filter=STATUS))) == {"save_name"}
    assert Segment.objects.count() == 1


def test_repeat_this_leads_to_a_new_schedule_with_the_same_choices(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    answer = client.post(ADD, scripted(acme, "_repeat", name="Each week", window="last_7_days", filter=STATUS))
    assert answer["Location"].startswith("/admin/exports/exportschedule/add/?draft=")
    assert "Each week" in client.get(answer["Location"]).content.decode()
    assert made() == (0, 0, 0, 0)


def test_buttons_are_there_for_whom_they_work(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    text = staff_client_of(editor).get(ADD).content.decode()
    assert 'name="_segment"' in text
    assert 'name="_config"' not in text
    assert 'name="_repeat"' not in text
    assert 'name="_config"' in staff_client_of(admin).get(ADD).content.decode()
    response = staff_client_of(editor).post(ADD, scripted(acme, "_config", "Mine"))
    assert "does not allow" in response.context["errors"]["all"][0]["text"]
    assert made() == (0, 0, 0, 0)


# -- Beginnings ----------------------------------------------------------------------------------------------------
def test_a_job_s_choices_begin_another(editor: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    client.post(ADD, scripted(acme, filter=STATUS, window="last_7_days", timezone="America/New_York", sort=[{"column": "city"}], format="xlsx"))
    job = ExportJob.objects.get()
    assert f"{ADD}?from_job={job.pk}" in client.get(page(job)).content.decode()
    assert "from_job" not in staff_client_of(viewer).get(page(job)).content.decode()
    begun = client.get(f"{ADD}?from_job={job.pk}").context["choices"]
    assert (begun["window"], begun["filter"], begun["columns"], begun["format"]) == ("dates", STATUS, THREE, "xlsx")
    client.post(ADD, {"spec": json.dumps(begun), "nonce": str(uuid.uuid4())})
    assert ExportJob.objects.exclude(pk=job.pk).get().spec == job.spec
    for values in ({"type": "basic"}, {"creation_start_date": "2024-01-01T05:00:00Z", "creation_end_date": "2024-01-31T05:00:00.25Z"}):
        other = make_job(editor, acme, **values)
        begun = client.get(f"{ADD}?from_job={other.pk}").context["choices"]
        client.post(ADD, {"spec": json.dumps(begun), "nonce": str(uuid.uuid4())})
        assert ExportJob.objects.order_by("created_at").last().spec == other.spec, values


def test_a_config_s_link_brings_its_zone_and_how_days_are_written(editor: User, admin: User, acme: Organization, staff_client_of: Any) -> None:
    config = configs.create(admin, acme, {"name": "Mine", "columns": ["id", "due_on"], "timezone": "Asia/Tokyo", "date_format": "dmy"})
    client = staff_client_of(editor)
    begun = client.get(f"{ADD}?config={config.pk}").context["choices"]
    assert (begun["config_id"], begun["timezone"], begun["date_format"]) == (config.pk, "Asia/Tokyo", "dmy")
    client.post(ADD, {"spec": json.dumps(begun), "nonce": str(uuid.uuid4())})
    spec = ExportJob.objects.get().spec
    assert (spec["config_id"], spec["timezone"], spec["date_format"]) == (config.pk, "Asia/Tokyo", "dmy")


def test_a_refused_plain_form_still_has_its_choices(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
    segment = segments.create(admin, acme, "Oslo", {"index": "tasks", "rules": [rule]})
    text = staff_client_of(admin).post(ADD, plain(acme, name="x" * 201, segment_id=segment.pk, date_format="dmy")).content.decode()
    for value in (acme.pk, segment.pk, "UTC", "dmy", "dates"):
        assert f'<option value="{value}" selected>' in text, value
    assert not ExportJob.objects.exists()


def test_what_a_change_export_adds_is_its_schedule_s_alone(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    job = make_job(editor, acme)
    added = [{"title": "_change", "compute": {"op": "change"}}, {"key": "id", "title": "_id"}]
    ExportJob.objects.filter(pk=job.pk).update(spec=job.spec | {"changes_of": 1, "columns": [*added, *THREE]})
    assert staff_client_of(editor).get(f"{ADD}?from_job={job.pk}").context["choices"]["columns"] == THREE


def test_choices_are_handed_over_by_the_session_or_a_link(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    ticked = {"dataset": "tasks", "filter": {"column": "id", "op": "in", "value": list(range(1, 1001))}}
    session = client.session
    session["drafts"] = {"k1": ticked, "k2": {"nothing": 1}}
    session.save()
    begun = client.get(f"{ADD}?draft=k1").context["choices"]
    assert (begun["filter"], begun["type"], begun["format"], begun["organization"]) == (ticked["filter"], "basic", "csv", acme.pk)
    assert fields(client.get(f"{ADD}?draft=k2")) == {"nothing"}
    assert client.get(ADD, {"spec": json.dumps({"columns": ["id"], "name": "</script>"})}).context["choices"]["type"] == "custom"
    assert "</script>{" not in client.get(ADD, {"spec": json.dumps({"name": "</script>{"})}).content.decode()


# -- What it gives -------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_the_preflight_says_what_a_create_would_give(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    make_tasks(acme, 25)
    Task.objects.filter(title="Task 3").update(attributes={"floor": "=4"})
    client = Client(enforce_csrf_checks=True)
    client.force_login(editor)
    assert client.post(PREFLIGHT, choices(acme), content_type="application/json").status_code == 403
    client = staff_client_of(editor)
    answer = client.post(PREFLIGHT, choices(acme), content_type="application/json").json()
    found = answer["preflight"]
    assert (found["rows"], found["rows_exact"], found["header"], len(found["preview"])) == (25, True, ["What", "Source", "Étage"], 20)
    assert found["preview"][2] == ["Task 3", "ours", "'=4"]
    assert [warning["code"] for warning in found["warnings"]] == ["formulas"]
    assert (answer["in_words"], answer["window"]) == ("tasks", [])
    days = {"window": "dates", "creation_start_date": "2024-10-27", "creation_end_date": "2024-10-28", "timezone": "Europe/Amsterdam"}
    answer = client.post(PREFLIGHT, choices(acme, **days), content_type="application/json").json()
    assert (answer["preflight"]["rows"], answer["window"]) == (0, ["2024-10-27", "2024-10-28"])
    wrong = client.post(PREFLIGHT, choices(acme, filter={"column": "status", "op": "is", "value": ""}), content_type="application/json")
    assert (wrong.status_code, [error["field"] for error in wrong.json()["errors"]]) == (200, ["filter.value"])
    assert set(client.post(PREFLIGHT, "{", content_type="application/json").json()) == {"errors"}
    assert client.get(PREFLIGHT).status_code == 405
    assert made() == (0, 0, 0, 0)


def test_what_is_offered_of_an_organization_takes_constant_queries(
    admin: User, acme: Organization, globex: Organization, staff_client_of: Any
) -> None:
    client = staff_client_of(admin)

    def ask(path: str) -> tuple[int, Any]:
        with CaptureQueriesContext(connection) as queries:
            response = client.get(path)
        assert response.status_code == 200
        return len(queries), response

    url = f"/admin/exports/exportjob/offered/{acme.pk}/"
    Task.objects.create(organization=acme, title="x", attributes={"floor": 1})
    Task.objects.create(organization=globex, title="x", attributes={"secret": 1})
    few, page_few = ask(url)[0], ask(ADD)[0]
    for number in range(5):
        configs.create(admin, acme, {"name": f"C{number}", "columns": ["id"], "filter": STATUS})
        rule = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}
        segments.create(admin, acme, f"S{number}", {"index": "tasks", "rules": [rule]})
        Flow.objects.create(organization=acme, name=f"Flow {number}")
    many, response = ask(url)
    found = response.json()
    assert (few, many) == (few, few)
    assert few <= 16
    assert ask(ADD)[0] == page_few <= 16
    assert (found["attributes"], len(found["configs"]), found["configs"][0]["in_words"]) == (["floor"], 5, 'status is "none"')
    assert (found["segments"][0]["in_words"], len(found["suggested"]["flow"])) == ('city is "Oslo"', 5)
    assert found["may"] == {"config": True, "segment": True, "repeat": True, "unguarded": True}
    admin.memberships.update(role=Role.EDITOR)
    assert ask(url)[1].json()["may"] == {"config": False, "segment": True, "repeat": False, "unguarded": False}


# -- Its scripts ---------------------------------------------------------------------------------------------------
def test_scripts_import_each_other_by_the_names_of_their_release(tmp_path: Path) -> None:
    folder = settings.BASE_DIR / "static"
    source = FileSystemStorage(folder)
    paths = {path.relative_to(folder).as_posix(): (source, path.relative_to(folder).as_posix()) for path in folder.glob("exports/*.js")}
    for path in paths:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes((folder / path).read_bytes())
    assets = Assets(location=tmp_path, base_url="/static/")
    named = {path: hashed for path, hashed, _ in assets.post_process(paths) if hashed.endswith(".js")}
    text = (tmp_path / named["exports/new.js"]).read_text()
    imported = re.findall(r'from "\./([^"]+)"', text)
    assert len(imported) >= 5
    assert {f"exports/{name}" for name in imported} <= set(named.values())
