"""The screens of configs and segments: who looks, who changes, what is refused where, and what keeps a row from going."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exports.models import ExportConfig, Segment
from exports.services import configs, segments
from tasks.models import Organization, Task, User
from tests.scheduling import make_schedule

StaffClientOf = Callable[[User], Client]
CONFIGS, SEGMENTS = "/admin/exports/exportconfig/", "/admin/exports/segment/"
STATUS = {"column": "status", "op": "is", "value": "none"}
OSLO = {"field_name": "city", "field_type": "keyword", "operator": "is", "value": "Oslo"}


def form(organization: Organization | None = None, spec: Any = None, **values: Any) -> dict[str, Any]:
    sent = {"nonce": str(uuid.uuid4()), "name": "Mine", "dataset": "tasks", "_save": "1"}
    return sent | ({"organization": organization.pk} if organization else {}) | ({} if spec is None else {"spec": json.dumps(spec)}) | values


def fields(response: Any) -> set[str]:
    assert response.status_code == 200
    return {error["field"] for error in response.context["script"]["errors"]}


def config_of(user: User, organization: Organization, name: str = "Mine", **values: Any) -> ExportConfig:
    return configs.create(user, organization, {"name": name, "columns": ["id", {"key": "city", "title": "Stadt"}], **values})


def segment_of(user: User, organization: Organization, name: str = "Oslo") -> Segment:
    return segments.create(user, organization, name, {"index": "tasks", "rules": [OSLO]})


# -- Looking -------------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_a_viewer_looks_and_is_offered_nothing_else(admin: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    config, segment = config_of(admin, acme, filter=STATUS, description="For the <b>office</b>"), segment_of(admin, acme)
    Task.objects.create(organization=acme, title="x", status="none", city="Oslo")
    Task.objects.create(organization=acme, title="y", status="complete", city="Oslo")
    client = staff_client_of(viewer)
    for path, row, words, matches in ((CONFIGS, config, "status is &quot;none&quot;", "1"), (SEGMENTS, segment, "city is &quot;Oslo&quot;", "2")):
        assert words in client.get(path).content.decode()
        text = client.get(f"{path}{row.pk}/change/").content.decode()
        assert words in text
        assert f"<dd data-matches>{matches}</dd>" in text
        assert "version 1" in text
        assert "data-verb" not in text
        assert "<b>office" not in text
        for page in ("add/", f"{row.pk}/edit/", f"{row.pk}/remove/"):
            assert client.get(path + page).status_code == 403, page
            assert client.post(path + page, form(acme, {"filter": STATUS})).status_code == 403, page
        assert client.post(f"{path}{row.pk}/change/").status_code == 405
    assert (ExportConfig.objects.get(), Segment.objects.get()) == (config, segment)


def test_outsider_finds_nothing(admin: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    rows = ((CONFIGS, config_of(admin, acme, "Secret")), (SEGMENTS, segment_of(admin, acme, "Secret")))
    client = staff_client_of(outsider)
    for path, row in rows:
        assert "Secret" not in client.get(path).content.decode()
        for page in ("change", "edit", "remove"):
            response = client.get(f"{path}{row.pk}/{page}/", follow=True)
            assert response.redirect_chain[0] == ("/admin/", 302)
            assert "Secret" not in response.content.decode()
        for page in ("edit", "remove"):
            assert client.post(f"{path}{row.pk}/{page}/", form(spec={"filter": STATUS}))["Location"] == "/admin/"
        assert fields(client.post(f"{path}add/", form(acme, {"filter": STATUS, "columns": ["id"]}))) == {"organization"}
        row.refresh_from_db()
        assert (row.version, row.name) == (1, "Secret")
    assert (ExportConfig.objects.count(), Segment.objects.count()) == (1, 1)


def test_a_list_of_ten_takes_as_many_queries_as_one_of_one(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)

    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    assert "Add one here" in client.get(CONFIGS).content.decode()
    assert "Add one here" in client.get(SEGMENTS).content.decode()
    for path, make in ((CONFIGS, config_of), (SEGMENTS, segment_of)):
        make(admin, acme, "0")
        one = count(path)
        for number in range(1, 10):
            make(admin, acme, str(number))
        assert count(path) == one <= 12


# -- Configs -------------------------------------------------------------------------------------------------------
def test_an_admin_makes_and_changes_a_config(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    columns = [{"key": "title", "title": "What"}, {"title": "Days", "compute": {"op": "days_between", "from": "created_at", "to": "due_on"}}]
    sent = form(acme, {"columns": columns, "filter": STATUS}, description="For us\r\nall", timezone="Asia/Tokyo", date_format="dmy")
    assert client.post(f"{CONFIGS}add/", sent)["Location"] == client.post(f"{CONFIGS}add/", sent)["Location"]
    config = ExportConfig.objects.get()
    assert (config.columns, config.filter, config.timezone, config.date_format, config.created_by) == (columns, STATUS, "Asia/Tokyo", "dmy", admin)
    assert config.description == "For us\nall"
    edit = f"{CONFIGS}{config.pk}/edit/"
    assert client.get(edit).context["script"]["choices"]["columns"] == columns
    assert client.post(edit, form(spec={"columns": ["id"], "filter": None}, name="Yours", version=1)).status_code == 302
    config.refresh_from_db()
    assert (config.name, config.version, config.filter, config.timezone) == ("Yours", 2, None, "Asia/Tokyo")
    # Without JavaScript the columns stay, or are all there are.
    assert client.post(edit, form(name="Still yours", version=2)).status_code == 302
    config.refresh_from_db()
    assert (config.name, config.columns) == ("Still yours", [{"key": "id", "title": "id"}])
    client.post(f"{CONFIGS}add/", form(acme, name="All"))
    assert len(ExportConfig.objects.get(name="All").columns) > 40


def test_a_config_takes_a_segment_of_its_organization(
    admin: User, outsider: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    oslo, theirs = segment_of(admin, acme), segment_of(outsider, globex, "Theirs")
    client = staff_client_of(admin)
    client.post(f"{CONFIGS}add/", form(acme, {"columns": ["id"], "filter": STATUS}, segment_id=oslo.pk))
    config = ExportConfig.objects.get()
    assert config.segment == oslo
    edit = f"{CONFIGS}{config.pk}/edit/"
    assert "Oslo" in client.get(edit).content.decode()
    assert fields(client.post(edit, form(segment_id=theirs.pk))) == {"segment_id"}
    assert fields(client.post(edit, form(segment_id=oslo.pk, dataset="cases", spec={"columns": ["id"], "filter": None}))) == {"segment_id"}
    assert "city is &quot;Oslo&quot;" in client.get(f"{CONFIGS}{config.pk}/change/").content.decode()
    assert "config Mine" in client.get(f"{SEGMENTS}{oslo.pk}/remove/").content.decode()
    assert "1 config" in client.get(SEGMENTS).content.decode()
    client.post(f"{SEGMENTS}{oslo.pk}/remove/")
    assert Segment.objects.filter(pk=oslo.pk).exists()
    client.post(edit, form(segment_id=""))
    config.refresh_from_db()
    assert (config.segment, config.version) == (None, 2)


def test_a_wrong_config_is_refused_at_its_place(admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    config = config_of(admin, acme)
    client, edit = staff_client_of(admin), f"{CONFIGS}{config.pk}/edit/"
    for sent, expected in (
        (form(spec={"columns": [{"key": "title"}, "nothing"]}), {"columns[1].key"}),
        (form(spec={"columns": ["id"], "filter": {"any": [STATUS, {"column": "due_on", "op": "on", "value": "x"}]}}), {"filter.any[1].value"}),
        (form(name=" ", timezone="Mars", date_format="x", dataset="x"), {"name", "timezone", "date_format", "dataset"}),
        (form(name="basic"), {"name"}),
        (form(version=7), {""}),
        (form(spec={"rows": 1}), {""}),
        (form(spec={"columns": None}), {"columns"}),
        (form(nonce="x"), {""}),
    ):
        response = client.post(edit, sent)
        assert fields(response) == expected, sent
        assert response.context["values"]["name"] == sent["name"]
    stale = client.post(edit, form(name="Theirs too", version=7))
    assert "Somebody changed it meanwhile: it is at version 1 now." in stale.content.decode()
    assert (stale.context["values"]["name"], stale.context["values"]["version"]) == ("Theirs too", 1)
    assert fields(client.post(f"{CONFIGS}add/", form(acme, name="MINE"))) == {"name"}
    assert fields(client.post(f"{CONFIGS}add/", form())) == {"organization"}
    assert staff_client_of(editor).get(edit).status_code == 403
    config.refresh_from_db()
    assert (config.version, config.name, ExportConfig.objects.count()) == (1, "Mine", 1)


# -- Segments ------------------------------------------------------------------------------------------------------
def test_an_editor_makes_and_changes_a_segment_and_an_admin_deletes_it(
    admin: User, editor: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(editor)
    tree = {"any": [STATUS, {"column": "due_on", "op": "within_next", "value": {"unit": "week", "amount": 1}}]}
    assert fields(client.post(f"{SEGMENTS}add/", form(acme, {"filter": tree}))) == {"filter.any[1].op"}
    tree["any"][1] = {"column": "due_on", "op": "within_last", "value": {"unit": "week", "amount": 1}}
    client.post(f"{SEGMENTS}add/", form(acme, {"filter": tree}))
    segment = Segment.objects.get()
    Segment.objects.filter(pk=segment.pk).update(entity="task")
    edit, remove = f"{SEGMENTS}{segment.pk}/edit/", f"{SEGMENTS}{segment.pk}/remove/"
    assert client.get(edit).context["script"]["choices"]["filter"] == tree
    assert client.post(edit, form(spec={"filter": STATUS}, name="Narrow", version=1)).status_code == 302
    segment.refresh_from_db()
    assert (segment.name, segment.version, segment.entity, len(segment.rules)) == ("Narrow", 2, "task", 1)
    for spec, values, expected in (
        ({"filter": None}, {}, {"filter"}),
        ({"filter": {"not": STATUS}}, {}, {"filter"}),
        ({"filter": STATUS}, {"name": ""}, {"name"}),
        ({"filter": STATUS}, {"version": 1}, {""}),
        ({"filter": STATUS}, {"dataset": "x"}, {"dataset"}),
    ):
        assert fields(client.post(edit, form(spec=spec, **({"version": 2} | values)))) == expected
    assert client.post(remove).status_code == 403
    segment.refresh_from_db()
    assert (segment.version, segment.name) == (2, "Narrow")
    assert staff_client_of(admin).post(remove)["Location"] == SEGMENTS
    assert not Segment.objects.exists()


def test_a_segment_whose_columns_are_gone_is_shown_and_begins_anew(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    segment = segment_of(admin, acme)
    Segment.objects.filter(pk=segment.pk).update(rules=[OSLO | {"field_name": "planet"}])
    client = staff_client_of(admin)
    for page in ("", f"{segment.pk}/change/", f"{segment.pk}/edit/"):
        assert "no such field" in client.get(SEGMENTS + page).content.decode(), page
    config = config_of(admin, acme)
    ExportConfig.objects.filter(pk=config.pk).update(columns=[{"key": "planet", "title": "Planet"}])
    assert "no longer there: Planet" in client.get(f"{CONFIGS}{config.pk}/change/").content.decode()


# -- In use --------------------------------------------------------------------------------------------------------
def test_what_a_schedule_uses_is_not_deleted(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    config, segment = config_of(admin, acme), segment_of(admin, acme)
    make_schedule(admin, acme, name="Nightly", config=config, segment=segment)
    client = staff_client_of(admin)
    for path, row in ((CONFIGS, config), (SEGMENTS, segment)):
        assert "1 schedule" in client.get(path).content.decode()
        assert "Nightly" in client.get(f"{path}{row.pk}/change/").content.decode()
        text = client.get(f"{path}{row.pk}/remove/").content.decode()
        assert "Nightly" in text
        assert 'class="button danger"' not in text
        response = client.post(f"{path}{row.pk}/remove/", follow=True)
        assert "se" in " ".join(map(str, response.context["messages"]))
        assert type(row).objects.filter(pk=row.pk).exists()
    assert fields(
        client.post(f"{SEGMENTS}{segment.pk}/edit/", form(spec={"filter": {"column": "name", "op": "is", "value": "x"}}, dataset="cases"))
    ) == {"dataset"}
