"""Saved configs: who may see and change them, what is refused, and what a job freezes of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from rest_framework.test import APIClient

from exports.models import ExportConfig, ExportJob
from exports.services import configs
from taskexport.errors import Conflict, Forbidden, Invalid, NotFound
from tasks.models import Organization, User
from tests.api import JOBS, wish

ClientOf = Callable[[User], APIClient]
pytestmark = pytest.mark.django_db
TOWNS = {"name": "Towns", "columns": ["id", {"key": "city", "title": "Town"}]}
OPEN = {"column": "status", "op": "is_not", "value": "complete"}
RECENT = {"column": "due_at", "op": "within_last", "value": {"unit": "day", "amount": 7}}


def test_a_config_is_kept_as_it_was_checked(admin: User, viewer: User, acme: Organization) -> None:
    config = configs.create(admin, acme, {**TOWNS, "filter": RECENT, "timezone": "Europe/Oslo", "date_format": "dmy"})
    config = configs.get(viewer, acme, config.pk)
    assert config.columns == [{"key": "id", "title": "id"}, {"key": "city", "title": "Town"}]
    assert (config.filter, config.timezone, config.date_format) == (RECENT, "Europe/Oslo", "dmy")
    assert (config.dataset, config.version, config.created_by, str(config)) == ("tasks", 1, admin, "Towns")
    assert list(configs.visible(viewer, acme)) == [config]


def test_each_change_is_a_version(admin: User, acme: Organization) -> None:
    config = configs.create(admin, acme, TOWNS)
    changed = configs.update(admin, config, {"description": "By town", "name": "towns"})
    assert (changed.name, changed.description, changed.version) == ("towns", "By town", 2)
    assert changed.updated_at > config.created_at
    for stale in (lambda: configs.update(admin, config, {"name": "x"}), lambda: configs.update(admin, changed, {"name": "x"}, version=1)):
        with pytest.raises(Conflict) as refused:
            stale()
        assert refused.value.code == "stale_version"
    assert ExportConfig.objects.get().name == "towns"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": None}, "name"),
        ({"name": "Basic"}, "name"),
        ({"description": 5}, "description"),
        ({"columns": ["nothing"]}, "columns[0].key"),
        ({"columns": None}, "columns"),
        ({"filter": {"all": []}}, "filter.all"),
        ({"dataset": "people"}, "dataset"),
        ({"dataset": ["tasks"]}, "dataset"),
        ({"timezone": "Mars"}, "timezone"),
        ({"date_format": {}}, "date_format"),
        ({"version": 5}, "version"),
    ],
)
def test_a_wrong_config_is_refused_and_changes_nothing(admin: User, acme: Organization, values: dict[str, Any], field: str) -> None:
    config = configs.create(admin, acme, {**TOWNS, "name": "kept"})
    for refused_call in (lambda: configs.create(admin, acme, TOWNS | values), lambda: configs.update(admin, config, values)):
        with pytest.raises(Invalid) as refused:
            refused_call()
        assert [error.field for error in refused.value.fields] == [field]
    assert [(each.name, each.version) for each in ExportConfig.objects.all()] == [("kept", 1)]


def test_a_name_is_taken_in_any_case_but_only_in_its_organization(admin: User, outsider: User, acme: Organization, globex: Organization) -> None:
    configs.create(admin, acme, TOWNS)
    other = configs.create(admin, acme, {**TOWNS, "name": "other"})
    for taken in (lambda: configs.create(admin, acme, {**TOWNS, "name": "TOWNS"}), lambda: configs.update(admin, other, {"name": "tOWNS"})):
        with pytest.raises(Conflict) as refused:
            taken()
        assert (refused.value.code, refused.value.fields[0].field) == ("name_taken", "name")
    configs.create(outsider, globex, TOWNS)
    assert ExportConfig.objects.count() == 3


@pytest.mark.parametrize(("role", "refusal"), [("viewer", Forbidden), ("editor", Forbidden), ("owner", Forbidden), ("outsider", NotFound)])
def test_only_an_admin_changes_configs(request: pytest.FixtureRequest, admin: User, acme: Organization, role: str, refusal: type[Exception]) -> None:
    user = request.getfixturevalue(role)
    config = configs.create(admin, acme, TOWNS)
    calls: list[Callable[[], Any]] = [
        lambda: configs.create(user, acme, {**TOWNS, "name": "x"}),
        lambda: configs.update(user, config, {"name": "x"}),
        lambda: configs.delete(user, config),
    ]
    for call in calls:
        with pytest.raises(refusal):
            call()
    assert [(each.name, each.version) for each in ExportConfig.objects.all()] == [("Towns", 1)]
    if refusal is NotFound:
        assert not configs.visible(user, acme).exists()
        with pytest.raises(NotFound):
            configs.get(user, acme, config.pk)
    else:
        assert configs.get(user, acme, config.pk) == config


@pytest.mark.parametrize("config_id", [0, -1, 2**63, "1", True, None, 10**30])
def test_an_odd_id_is_not_found(viewer: User, acme: Organization, config_id: Any) -> None:
    with pytest.raises(NotFound):
        configs.get(viewer, acme, config_id)


@pytest.fixture
def plan(transactional_db: None) -> Iterator[type[models.Model]]:
    """A model whose rows use configs and keep them from being deleted."""

    class Plan(models.Model):
        name = models.CharField(max_length=20)
        config = models.ForeignKey(ExportConfig, models.RESTRICT, related_name="+")

        class Meta:
            app_label = "exports"

        def __str__(self) -> str:
            return self.name

    with connection.schema_editor() as editor:
        editor.create_model(Plan)
    try:
        yield Plan
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Plan)
        del apps.all_models["exports"]["plan"]
        apps.clear_cache()


def test_a_config_in_use_is_not_deleted_and_its_users_are_named(plan: Any, admin: User, acme: Organization) -> None:
    config = configs.create(admin, acme, TOWNS)
    for number in range(7):
        plan.objects.create(name=f"each {number}. of March", config=config)
    with pytest.raises(Conflict) as refused:
        configs.delete(admin, config)
    assert refused.value.code == "config_in_use"
    assert "used by plan each 0. of March, plan each 1. of March" in refused.value.message
    assert "plan each 4. of March and 2 more." in refused.value.message
    assert configs.get(admin, acme, config.pk) == config
    plan.objects.all().delete()
    configs.delete(admin, config)
    assert not ExportConfig.objects.exists()


# -- Jobs of a config ----------------------------------------------------------------------------------------------
def test_a_job_freezes_its_config(client_of: ClientOf, admin: User, editor: User, acme: Organization) -> None:
    config = configs.create(admin, acme, {**TOWNS, "filter": OPEN, "timezone": "Europe/Oslo", "date_format": "dmy"})
    body = wish(acme, type="custom", config_id=config.pk, filter=RECENT, date_format="mdy")
    response = client_of(editor).post(JOBS, body)
    assert response.status_code == 201, response.json()
    configs.update(admin, config, {"columns": ["title"], "name": "Other"})
    configs.delete(admin, config)
    configs.delete(admin, config)
    spec = ExportJob.objects.get().spec
    assert (spec["config"], spec["config_id"], spec["config_version"]) == ("Towns", config.pk, 1)
    assert [column["title"] for column in spec["columns"]] == ["id", "Town"]
    assert (spec["timezone"], spec["date_format"]) == ("Europe/Oslo", "mdy")
    assert spec["filter"]["all"][0] == OPEN
    assert spec["filter"]["all"][1]["op"] == "between"


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"type": "basic"}, 400, "type"),
        ({"columns": ["id"]}, 400, "columns"),
        ({"dataset": "cases"}, 400, "dataset"),
        ({"config_id": 10**12}, 404, "config_id"),
        ({"config_id": 10**30}, 404, "config_id"),
        ({"config_id": "x"}, 400, "config_id"),
    ],
)
def test_a_wrong_use_of_a_config_makes_no_job(
    client_of: ClientOf, admin: User, editor: User, acme: Organization, changes: dict[str, Any], status: int, field: str
) -> None:
    config = configs.create(admin, acme, TOWNS)
    response = client_of(editor).post(JOBS, wish(acme, type="custom", config_id=config.pk) | changes)
    assert response.status_code == status
    assert [error["field"] for error in response.json()["field_errors"]] == [field]
    assert not ExportJob.objects.exists()


def test_a_repeated_call_is_answered_although_its_config_is_gone(client_of: ClientOf, admin: User, editor: User, acme: Organization) -> None:
    config = configs.create(admin, acme, TOWNS)
    body, client = wish(acme, type="custom", config_id=config.pk), client_of(editor)
    first = client.post(JOBS, body, headers={"Idempotency-Key": "k"})
    configs.delete(admin, config)
    again = client.post(JOBS, body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (201, first.json())
    assert client.post(JOBS, body, headers={"Idempotency-Key": "other"}).status_code == 404
    assert ExportJob.objects.count() == 1


def test_another_organizations_config_is_404(client_of: ClientOf, outsider: User, editor: User, acme: Organization, globex: Organization) -> None:
    config = configs.create(outsider, globex, TOWNS)
    assert client_of(editor).post(JOBS, wish(acme, type="custom", config_id=config.pk)).status_code == 404
    assert not ExportJob.objects.exists()
