"""The demo: the same tasks each time, hostile enough to be worth exporting, and never in production."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.management import CommandError, call_command

from taskexport.errors import Unauthenticated
from tasks import access
from tasks.demo import make_tasks
from tasks.models import Case, Member, Organization, Task, TaskAssignee, TaskStatus, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def development(settings: Any) -> None:
    settings.PRODUCTION = False


def seed(tasks: int = 60) -> dict[str, Any]:
    out = StringIO()
    call_command("seed_demo", "--tasks", str(tasks), stdout=out)
    return json.loads(out.getvalue().splitlines()[-1])


def test_the_last_line_tells_a_script_all_it_needs() -> None:
    told = seed()
    assert list(told) == ["organizations", "platform", "people", "tokens", "cases", "calendars", "flows", "hubs"]
    acme = Organization.objects.get(slug="acme")
    assert told["organizations"]["acme"] == {"id": acme.pk, "uuid": str(acme.uuid)}
    assert list(told["people"]) == ["admin", "viewer", "outsider", "owner"]
    assert 0 < len(told["cases"]) <= 50
    assert Case.objects.filter(organization=acme, pk__in=told["cases"]).count() == len(told["cases"])
    assert Task.objects.filter(organization=acme).count() == 60
    assert Task.objects.filter(organization__slug="globex").count() == 500


def test_people_may_do_what_their_role_says() -> None:
    told = seed()
    people = {name: User.objects.get(email=entry["email"]) for name, entry in told["people"].items()}
    acme, globex = (told["organizations"][slug]["id"] for slug in ("acme", "globex"))
    for name, user in people.items():
        assert user.is_staff
        assert user.check_password(told["people"][name]["password"])
        validate_password(told["people"][name]["password"], user)
    assert access.can(people["admin"], access.Action.ADMINISTER, acme)
    assert access.can(people["viewer"], access.Action.READ, acme)
    assert not access.can(people["viewer"], access.Action.WRITE, acme)
    assert not access.can(people["outsider"], access.Action.READ, acme)
    assert access.can(people["outsider"], access.Action.ADMINISTER, globex)
    assert all(access.can(people["owner"], access.Action.READ, one) for one in (acme, globex))
    assert not access.can(people["owner"], access.Action.WRITE, acme)


def test_a_second_run_renews_and_doubles_nothing() -> None:
    first = seed()
    kinds = (Task, Member, TaskAssignee, User, Organization, Case)
    before = [kind.objects.count() for kind in kinds]
    fields = [field.attname for field in Task._meta.concrete_fields if field.name != "updated_at"]
    tasks = list(Task.objects.order_by("pk").values(*fields))
    admin = User.objects.get(email=first["people"]["admin"]["email"])
    admin.set_password("something else entirely")
    admin.save()
    second = seed()
    assert [kind.objects.count() for kind in kinds] == before
    assert list(Task.objects.order_by("pk").values(*fields)) == tasks
    admin.refresh_from_db()
    assert admin.check_password(second["people"]["admin"]["password"])
    assert {key: first[key] for key in first if key != "tokens"} == {key: second[key] for key in second if key != "tokens"}


def test_only_the_newest_token_opens() -> None:
    first, second = seed(tasks=1), seed(tasks=1)
    token = access.authenticate_access_token(second["tokens"]["acme"])
    assert access.can(token.user, access.Action.RUN, token.organization)
    assert not access.can(token.user, access.Action.ADMINISTER, token.organization)
    with pytest.raises(Unauthenticated):
        access.authenticate_access_token(first["tokens"]["acme"])


def test_the_demo_refuses_production(settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="never runs in production"):
        call_command("seed_demo")
    assert not User.objects.exists()


def test_a_task_does_not_depend_on_how_many_there_are() -> None:
    one, other = (Organization.objects.create(slug=slug, name=slug) for slug in ("one", "other"))
    make_tasks(one, 5, seed=3)
    make_tasks(other, 50, seed=3)
    fields = ("external_id", "title", "body", "due_at", "zip", "attributes", "latitude", "created_at")
    same = [list(Task.objects.filter(organization=who).order_by("external_id").values(*fields)[:5]) for who in (one, other)]
    assert same[0] == same[1]


def test_the_tasks_are_as_hostile_as_real_ones() -> None:
    organization = Organization.objects.create(slug="one", name="one", timezone="Europe/Amsterdam")
    make_tasks(organization, 1200, seed=1)
    tasks = Task.objects.filter(organization=organization)
    for task in tasks.prefetch_related("assignments"):
        task.clean_fields(exclude=["attributes"])
        assert task.subject is None or task.subject.case_id == task.case_id
        first = next(iter(task.assignments.all()), None)
        assert (first and first.member_id) == task.assignee_id
        assert (task.completed_at is not None) == (task.status == TaskStatus.COMPLETE)
    assert {len(task.title) for task in tasks} >= {500}
    assert max(len(task.body) for task in tasks) > 32_767
    assert tasks.filter(title__startswith="=").exists()
    assert tasks.filter(body__contains="\n").exists()
    assert tasks.filter(body="").exists()
    assert tasks.filter(zip__startswith="0").exists()
    assert tasks.filter(attributes={}).exists()
    assert any(task.created_at.microsecond for task in tasks)
    assert {task.assignments.count() for task in tasks[:200]} == {0, 1, 2, 3}
