"""The admin's screens of tasks, organizations, members, tokens and users: rights by role, and never a row of another organization."""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from rest_framework.settings import api_settings

from taskexport.errors import Unauthenticated
from tasks import access
from tasks.models import AccessToken, Calendar, Case, DataRecord, Hub, Member, Organization, Platform, Role, Subject, Task, TaskAssignee, User

StaffClientOf = Callable[[User], Client]
TENANT_MODELS = ["task", "calendar", "case", "subject", "caseservice", "hub", "flow", "member"]


def path(model: str, pk: Any = "", name: str = "") -> str:
    return f"/admin/tasks/{model}/" + (f"{pk}/" if pk else "") + (f"{name}/" if name else "")


def task_form(organization: Organization, *members: Member, **values: Any) -> dict[str, Any]:
    assignees: dict[str, Any] = {"assignments-TOTAL_FORMS": len(members), "assignments-INITIAL_FORMS": 0}
    for number, member in enumerate(members):
        assignees |= {f"assignments-{number}-member": member.pk, f"assignments-{number}-position": number}
    return {"organization": organization.pk, "title": "Read meter", "status": "none", "attributes": "{}"} | assignees | values


def member(organization: Organization, name: str = "Worker") -> Member:
    return Member.objects.create(organization=organization, name=name)


@pytest.fixture
def superuser(db: None) -> User:
    """Sees all."""
    return User.objects.create_superuser("boss@example.com", "correct horse battery")


# -- Seeing --------------------------------------------------------------------------------------------------------
def rows_of(organization: Organization) -> dict[str, Any]:
    case = Case.objects.create(organization=organization, name="Secret case")
    return {
        "task": Task.objects.create(organization=organization, title="Secret task"),
        "case": case,
        "subject": Subject.objects.create(organization=organization, case=case, name="Secret subject"),
        "hub": Hub.objects.create(organization=organization, name="Secret hub"),
        "member": member(organization, "Secret member"),
        "organization": organization,
        "accesstoken": access.create_access_token(organization, name="Secret token", role=Role.EDITOR)[0],
    }


def test_outsider_gets_nothing_of_acme(acme: Organization, outsider: User, staff_client_of: StaffClientOf) -> None:
    Organization.objects.filter(pk=acme.pk).update(name="Secret organization")
    client = staff_client_of(outsider)
    for model, row in rows_of(acme).items():
        assert "Secret" not in client.get(path(model)).content.decode(), model
        assert "Secret" not in client.get(path(model) + f"?q=S&of={acme.pk}").content.decode(), model
        for name in ("change", "history", "delete"):
            response = client.get(path(model, row.pk, name), follow=True)
            assert "Secret" not in response.content.decode(), (model, name)
        changed = client.post(path(model, row.pk, "change"), {"name": "Mine", "title": "Mine"})
        assert changed.status_code in {302, 403, 405}, model
        client.post(path(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
        row.refresh_from_db()
        assert str(row) != "Mine", model


@pytest.mark.parametrize(
    ("model", "field"),
    [
        *(("task", field) for field in ("case", "subject", "calendar", "case_service", "flow", "hub", "assignee", "completed_by", "organization")),
        *(("taskassignee", "member"), ("taskassignee", "task"), ("subject", "case"), ("member", "organization"), ("accesstoken", "organization")),
    ],
)
def test_autocomplete_offers_own_rows_only(model: str, field: str, acme: Organization, outsider: User, staff_client_of: StaffClientOf) -> None:
    Organization.objects.filter(pk=acme.pk).update(name="Secret organization")
    rows_of(acme)
    query = {"app_label": "tasks", "model_name": model, "field_name": field, "term": "Secret"}
    assert staff_client_of(outsider).get("/admin/autocomplete/", query).json()["results"] == []


@pytest.mark.parametrize(
    ("app", "model", "field"), [("tasks", "member", "user"), ("exports", "exportjob", "created_by"), ("tasks", "task", "created_by")]
)
def test_autocomplete_never_lists_users(app: str, model: str, field: str, admin: User, staff_client_of: StaffClientOf) -> None:
    query = {"app_label": app, "model_name": model, "field_name": field, "term": ""}
    assert staff_client_of(admin).get("/admin/autocomplete/", query).status_code == 403


@pytest.mark.parametrize("role", ["viewer", "owner"])
@pytest.mark.parametrize("model", TENANT_MODELS)
def test_who_only_reads_looks_and_changes_nothing(
    request: pytest.FixtureRequest, role: str, model: str, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(request.getfixturevalue(role))
    row = rows_of(acme).get(model)
    assert client.get(path(model)).status_code == 200
    assert client.get(path(model, name="add")).status_code == 403
    assert client.post(path(model, name="add"), {"organization": acme.pk, "name": "New"}).status_code == 403
    if row is None:
        return
    looked = client.get(path(model, row.pk, "change"))
    assert looked.status_code == 200
    assert 'name="_save"' not in looked.content.decode()
    assert client.post(path(model, row.pk, "change"), {"name": "Mine", "title": "Mine"}).status_code == 403
    assert client.post(path(model, row.pk, "delete"), {"post": "yes"}).status_code == 403
    client.post(path(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    row.refresh_from_db()
    assert str(row).startswith("Secret")


# -- Tasks ---------------------------------------------------------------------------------------------------------
def test_an_editor_writes_a_task_with_assignees_and_the_first_leads(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    first, second = member(acme, "First"), member(acme, "Second")
    client = staff_client_of(editor)
    response = client.post(path("task", name="add"), task_form(acme, first, second, external_id=""))
    assert response.status_code == 302, response.context["errors"]
    task = Task.objects.get()
    assert (task.assignee, task.created_by, task.external_id) == (first, editor, None)
    assert list(task.assignees.order_by("assignments__position")) == [first, second]

    kept = list(TaskAssignee.objects.order_by("position"))
    change = task_form(acme, first, second) | {"assignments-INITIAL_FORMS": 2, "title": "Read both meters"}
    change |= {f"assignments-{number}-{key}": value for number, row in enumerate(kept) for key, value in (("id", row.pk), ("task", task.pk))}
    assert client.post(path("task", task.pk, "change"), change | {"assignments-0-DELETE": "on"}).status_code == 302
    task.refresh_from_db()
    assert (task.title, task.assignee) == ("Read both meters", second)

    last = task_form(acme, second) | {"assignments-INITIAL_FORMS": 1, "assignments-0-id": kept[1].pk, "assignments-0-task": task.pk}
    client.post(path("task", task.pk, "change"), last | {"assignments-0-DELETE": "on"})
    task.refresh_from_db()
    assert task.assignee is None


@pytest.mark.parametrize("field", ["case", "subject", "calendar", "hub", "completed_by"])
@pytest.mark.parametrize("is_in_both", [False, True])
def test_a_task_takes_no_row_of_another_organization(
    field: str, is_in_both: bool, editor: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    case = Case.objects.create(organization=globex, name="Theirs")
    theirs: dict[str, Any] = {
        "case": case,
        "subject": Subject.objects.create(organization=globex, case=case, name="Theirs"),
        "calendar": Calendar.objects.create(organization=globex, name="Theirs"),
        "hub": Hub.objects.create(organization=globex, name="Theirs"),
        "completed_by": member(globex),
    }
    if is_in_both:  # then the choice is known, and still wrong for this task
        Member.objects.create(organization=globex, user=editor, role=Role.EDITOR, name="Editor")
    client = staff_client_of(editor)
    values = {field: theirs[field].pk} | ({"case": case.pk} if field == "subject" else {})
    response = client.post(path("task", name="add"), task_form(acme, **values))
    assert field in response.context["adminform"].form.errors
    assert not Task.objects.exists()

    task = Task.objects.create(organization=acme, title="Ours")
    assert field in client.post(path("task", task.pk, "change"), task_form(acme, **values)).context["adminform"].form.errors
    task.refresh_from_db()
    assert (task.title, getattr(task, f"{field}_id")) == ("Ours", None)


@pytest.mark.parametrize("is_in_both", [False, True])
def test_a_task_takes_no_assignee_of_another_organization(
    is_in_both: bool, editor: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    if is_in_both:
        Member.objects.create(organization=globex, user=editor, role=Role.EDITOR, name="Editor")
    response = staff_client_of(editor).post(path("task", name="add"), task_form(acme, member(globex)))
    assert response.status_code == 200
    assert not Task.objects.exists()
    assert not TaskAssignee.objects.exists()


def test_a_subject_needs_its_own_case(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    one, other = (Case.objects.create(organization=acme, name=name) for name in ("One", "Other"))
    subject = Subject.objects.create(organization=acme, case=one, name="Somebody")
    client = staff_client_of(editor)
    for case in ("", other.pk):
        response = client.post(path("task", name="add"), task_form(acme, case=case, subject=subject.pk))
        assert set(response.context["adminform"].form.errors) == {"subject"}
    assert client.post(path("task", name="add"), task_form(acme, case=one.pk, subject=subject.pk)).status_code == 302


@pytest.mark.parametrize("role", ["editor", "outsider"])
def test_a_task_is_made_only_where_one_may_write(
    request: pytest.FixtureRequest, role: str, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    user = request.getfixturevalue(role)
    other = globex if role == "editor" else acme
    Member.objects.create(organization=other, user=user, role=Role.VIEWER, name="Looks only")
    client = staff_client_of(user)
    response = client.post(path("task", name="add"), task_form(other))
    assert "organization" in response.context["adminform"].form.errors
    task = Task.objects.create(organization=other, title="Theirs")
    assert client.get(path("task", task.pk, "change")).status_code == 200
    assert client.post(path("task", task.pk, "change"), task_form(other)).status_code == 403
    client.post(path("task"), {"action": "delete_selected", "_selected_action": [task.pk], "post": "yes"})
    assert Task.objects.get().title == "Theirs"


def test_a_task_never_moves_to_another_organization(editor: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf) -> None:
    Member.objects.create(organization=globex, user=editor, role=Role.EDITOR, name="Editor")
    task = Task.objects.create(organization=acme, title="Ours")
    assert staff_client_of(editor).post(path("task", task.pk, "change"), task_form(globex)).status_code == 302
    task.refresh_from_db()
    assert (task.title, task.organization) == ("Read meter", acme)


def test_an_editor_deletes_nothing_and_an_admin_does(editor: User, admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    task = Task.objects.create(organization=acme, title="Ours")
    TaskAssignee.objects.create(task=task, member=member(acme))
    assert staff_client_of(editor).post(path("task", task.pk, "delete"), {"post": "yes"}).status_code == 403
    assert Task.objects.exists()
    assert staff_client_of(admin).post(path("task", task.pk, "delete"), {"post": "yes"}).status_code == 302
    assert not Task.objects.exists()


def test_more_tasks_than_a_page_can_name_are_not_deleted_at_once(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    Task.objects.bulk_create(Task(organization=acme, title=f"Task {number}") for number in range(501))
    client, first = staff_client_of(admin), Task.objects.first()
    assert first
    every = {"action": "delete_selected", "_selected_action": [first.pk], "select_across": "1", "index": "0"}
    assert "at most 500 tasks" in client.post(path("task"), every, follow=True).content.decode()
    assert Task.objects.count() == 501
    first.delete()
    asked = client.post(path("task"), every)
    assert "Are you sure" in asked.content.decode()
    assert Task.objects.count() == 500
    ticked = list(Task.objects.values_list("pk", flat=True))
    client.post(path("task"), {"action": "delete_selected", "_selected_action": ticked, "post": "yes"})
    assert not Task.objects.exists()


def test_what_tasks_hang_on_stays(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    hub = Hub.objects.create(organization=acme, name="North")
    Task.objects.create(organization=acme, title="Ours", hub=hub)
    response = staff_client_of(admin).post(path("hub", hub.pk, "delete"), {"post": "yes"})
    assert "protected" in response.content.decode()
    assert Hub.objects.exists()


def test_a_name_taken_is_refused_on_change_too(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    Hub.objects.create(organization=acme, name="North")
    south = Hub.objects.create(organization=acme, name="South")
    response = staff_client_of(editor).post(path("hub", south.pk, "change"), {"name": "North"})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors
    Task.objects.create(organization=acme, title="A", external_id="1")
    other = Task.objects.create(organization=acme, title="B")
    assert staff_client_of(editor).post(path("task", other.pk, "change"), task_form(acme, external_id="1")).status_code == 200


def test_search_by_title_and_by_the_beginning_of_the_reference(viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    Task.objects.create(organization=acme, title="Read meter", external_id="demo-1")
    Task.objects.create(organization=acme, title="Fix door", external_id="other-demo")
    client = staff_client_of(viewer)
    for term, found in {"METER": ["Read meter"], "demo": ["Read meter"], "": ["Fix door", "Read meter"], "none": []}.items():
        assert sorted(task.title for task in client.get(path("task"), {"q": term}).context["cl"].result_list) == found


@pytest.mark.parametrize("model", [*TENANT_MODELS, "organization", "accesstoken"])
def test_a_list_of_ten_takes_as_many_queries_as_one_of_one(
    model: str, admin: User, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    Member.objects.create(organization=globex, user=admin, role=Role.ADMIN, name="Admin")
    client = staff_client_of(admin)

    def make(number: int) -> None:
        case = Case.objects.create(organization=acme, name=f"Case {number}")
        Subject.objects.create(organization=acme, case=case, name="Subject")
        worker = member(acme, f"Worker {number}")
        Task.objects.create(organization=acme, title="Task", assignee=worker, case=case)
        Hub.objects.create(organization=acme, name=f"Hub {number}")
        Calendar.objects.create(organization=acme, name=f"Calendar {number}")
        access.create_access_token(acme, name=f"Token {number}", role=Role.EDITOR)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path(model)).status_code == 200
        return len(queries)

    make(0)
    one = count()
    for number in range(1, 10):
        make(number)
    assert count() == one <= 14


# -- Members -------------------------------------------------------------------------------------------------------
def test_an_admin_makes_members_and_changes_roles_of_those_with_a_user(
    admin: User, viewer: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    client = staff_client_of(admin)
    client.post(path("member", name="add"), {"organization": acme.pk, "name": "Worker", "email": "w@example.com", "user": viewer.pk, "role": "admin"})
    worker = Member.objects.get(name="Worker")
    assert (worker.user, worker.role) == (None, None)
    theirs = Member.objects.get(user=viewer)
    client.post(path("member", theirs.pk, "change"), {"name": "Viewer", "role": "editor", "user": admin.pk})
    theirs.refresh_from_db()
    assert (theirs.user, theirs.role) == (viewer, "editor")
    refused = client.post(path("member", worker.pk, "change"), {"name": "Worker", "role": "editor"})
    assert "role" in refused.context["adminform"].form.errors


def test_an_editor_makes_no_members(editor: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(editor)
    mine = Member.objects.get(user=editor)
    assert client.post(path("member", name="add"), {"organization": acme.pk, "name": "Worker"}).status_code == 403
    assert client.post(path("member", mine.pk, "change"), {"name": "Editor", "role": "admin"}).status_code == 403
    mine.refresh_from_db()
    assert mine.role == "editor"


def test_a_superuser_links_a_user(superuser: User, outsider: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(superuser)
    client.post(path("member", name="add"), {"organization": acme.pk, "name": "Outsider", "user": outsider.pk, "role": "viewer"})
    assert access.can(outsider, access.Action.READ, acme)


# -- Organizations, platforms, users -------------------------------------------------------------------------------
def test_an_admin_renames_the_organization_and_no_more(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    client.post(path("organization", acme.pk, "change"), {"name": "Acme Ltd", "timezone": "Europe/Amsterdam", "slug": "other", "platform": ""})
    before = acme.platform
    acme.refresh_from_db()
    assert (acme.name, acme.timezone, acme.slug, acme.platform) == ("Acme Ltd", "Europe/Amsterdam", "acme", before)
    refused = client.post(path("organization", acme.pk, "change"), {"name": "Acme", "timezone": "Mars/Base"})
    assert "timezone" in refused.context["adminform"].form.errors
    assert client.get(path("organization", name="add")).status_code == 403
    assert client.post(path("organization", acme.pk, "delete"), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("role", ["editor", "viewer", "owner"])
def test_nobody_else_renames_it(request: pytest.FixtureRequest, role: str, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(request.getfixturevalue(role))
    assert client.get(path("organization", acme.pk, "change")).status_code == 200
    assert client.post(path("organization", acme.pk, "change"), {"name": "Mine", "timezone": "UTC"}).status_code == 403


def test_a_superuser_makes_organizations_and_deletes_empty_ones(superuser: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(superuser)
    client.post(path("organization", name="add"), {"name": "New", "slug": "new", "timezone": "UTC"})
    new = Organization.objects.get(slug="new")
    Task.objects.create(organization=acme, title="Ours")
    assert client.post(path("organization", acme.pk, "delete"), {"post": "yes"}).status_code == 403
    assert client.post(path("organization", new.pk, "delete"), {"post": "yes"}).status_code == 302
    assert list(Organization.objects.all()) == [acme]


@pytest.mark.parametrize("model", ["user", "platform"])
def test_users_and_platforms_are_superusers_business(model: str, admin: User, superuser: User, platform: Platform, staff_client_of: Any) -> None:
    row = {"user": superuser, "platform": platform}[model]
    client = staff_client_of(admin)
    for url in (path(model), path(model, name="add"), path(model, row.pk, "change"), path(model, row.pk, "delete")):
        assert client.get(url).status_code == 403, url
        assert client.post(url, {"name": "Mine"}).status_code == 403, url
    assert client.post(f"/admin/tasks/user/{superuser.pk}/password/", {"password1": "x", "password2": "x"}).status_code == 403
    assert model not in client.get("/admin/").content.decode().replace("user-tools", "")
    assert staff_client_of(superuser).get(path(model)).status_code == 200


def test_a_superuser_makes_a_user_by_e_mail(superuser: User, admin: User, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(superuser)
    new = {"email": "New@Example.com", "name": "New", "usable_password": "true", "password1": "Wide Blue 4711", "password2": "Wide Blue 4711"}
    assert client.post(path("user", name="add"), new).status_code == 302
    user = User.objects.get(email="new@example.com")
    assert user.check_password("Wide Blue 4711")
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert "email" in client.post(path("user", name="add"), new | {"email": "ADMIN@example.com"}).context["adminform"].form.errors
    text = client.get(path("user", user.pk, "change")).content.decode()
    assert user.password not in text
    assert client.post(path("user", user.pk, "delete"), {"post": "yes"}).status_code == 403


def test_sign_in_by_e_mail_in_any_case(admin: User) -> None:
    client = Client()
    response = client.post("/admin/login/?next=/admin/", {"username": "ADMIN@Example.com", "password": "correct horse battery"})
    assert response["Location"] == "/admin/"


def test_guessing_is_counted_with_the_api_s_sign_ins_whatever_the_forwarded_address(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "login", "3/min")
    client, right = Client(), {"username": admin.email, "password": "correct horse battery"}
    assert client.post("/api/token", {"email": admin.email, "password": "wrong"}, content_type="application/json").status_code == 401
    for number in range(2):
        answer = client.post("/admin/login/", right | {"password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{number}"})
        assert "Too many sign-ins" not in answer.content.decode()
    answer = client.post("/admin/login/", right)
    assert (answer.status_code, "Too many sign-ins from this address" in answer.content.decode()) == (200, True)
    assert "_auth_user_id" not in client.session
    assert client.post("/api/token", {"email": admin.email, "password": "correct horse battery"}, content_type="application/json").status_code == 429
    cache.clear()  # a minute later
    assert client.post("/admin/login/?next=/admin/", right)["Location"] == "/admin/"


@pytest.mark.parametrize("place", ["/admin/login/", "/admin/tasks/task/add/"])
def test_a_form_with_a_file_is_refused_before_anything_is_kept_of_it(db: None, place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept: list[Any] = []
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda *args, **options: kept.append(args))
    big = SimpleUploadedFile("big.bin", bytes(5 * 1024 * 1024))
    assert Client(enforce_csrf_checks=True).post(place, {"username": "x", "file": big}).status_code == 400
    assert (kept, list(tmp_path.iterdir())) == ([], [])


# -- Access tokens -------------------------------------------------------------------------------------------------
def test_a_token_s_secret_is_shown_once_and_opens_until_it_is_revoked(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    form = {"organization": acme.pk, "name": "Nightly", "role": "viewer"}
    form |= {"nonce": str(uuid.uuid4())}
    first = client.post(path("accesstoken", name="add"), form, follow=True).content.decode()
    match = re.search(r"data-secret>(\d+:[\w-]{43})<", first)
    assert match
    token = AccessToken.objects.get()
    assert access.authenticate_access_token(match[1]) == token
    assert Member.objects.get(user=token.user).role == "viewer"

    later = client.get(path("accesstoken")).content.decode() + client.get(path("accesstoken", token.pk, "change")).content.decode()
    assert match[1].partition(":")[2] not in later
    assert token.secret_sha256 not in first + later
    assert match[1] not in "".join(LogEntry.objects.values_list("change_message", flat=True))

    client.post(path("accesstoken"), {"action": "revoke", "_selected_action": [token.pk]})
    with pytest.raises(Unauthenticated):
        access.authenticate_access_token(match[1])
    token.refresh_from_db()
    revoked_at = token.revoked_at
    client.post(path("accesstoken"), {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.revoked_at == revoked_at
    assert client.post(path("accesstoken", token.pk, "delete"), {"post": "yes"}).status_code == 403


def test_tokens_cannot_be_searched_by_their_hash(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    token, _ = access.create_access_token(acme, name="Nightly", role=Role.EDITOR)
    response = staff_client_of(admin).get(path("accesstoken"), {"secret_sha256__startswith": token.secret_sha256[0]})
    assert response.status_code == 400


@pytest.mark.parametrize("role", ["editor", "viewer", "owner", "outsider"])
def test_only_an_admin_of_the_organization_makes_and_revokes_its_tokens(
    request: pytest.FixtureRequest, role: str, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    token, _ = access.create_access_token(acme, name="Nightly", role=Role.EDITOR)
    client = staff_client_of(request.getfixturevalue(role))
    assert "Nightly" not in client.get(path("accesstoken")).content.decode()
    client.post(path("accesstoken", name="add"), {"organization": acme.pk, "name": "Mine", "role": "admin"})
    client.post(path("accesstoken"), {"action": "revoke", "_selected_action": [token.pk]})
    assert AccessToken.objects.get().revoked_at is None


def test_times_are_kept_as_they_are(viewer: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    task = Task.objects.create(organization=acme, title="Ours", created_at=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    assert "2024-05-06 07:08" in staff_client_of(viewer).get(path("task")).content.decode()
    assert "May 6, 2024, 7:08 a.m." in staff_client_of(viewer).get(path("task", task.pk, "change")).content.decode()


# -- What a database would refuse ----------------------------------------------------------------------------------
BAD_JSON = [
    r'{"a": "x\u0000"}',
    r'{"x\u0000": 1}',
    r'{"a": [{"b": "\ud800"}]}',
    '{"a": NaN}',
    '{"a": -Infinity}',
    '{"a": ' + "[" * 60 + "]" * 60 + "}",
    "[" * 100_000,
    "9" * 5000,
]


@pytest.mark.parametrize("text", BAD_JSON)
def test_own_fields_that_a_database_refuses_are_refused_by_name(admin: User, acme: Organization, staff_client_of: StaffClientOf, text: str) -> None:
    page = staff_client_of(admin).post(path("task", name="add"), task_form(acme, attributes=text))
    assert page.status_code == 200
    (said,) = page.context["adminform"].form.errors["attributes"]
    assert "remove it" in said or "write a number" in said or "flatter" in said or "as a text" in said
    assert escape(text) in page.content.decode()  # as it was typed
    if not text.endswith("}"):  # no text that Python reads as JSON at all
        return
    for save in (
        lambda: Task.objects.create(organization=acme, title="x", attributes=json.loads(text)),
        lambda: Task.objects.bulk_create([Task(organization=acme, title="x", attributes=json.loads(text))]),
        lambda: DataRecord.objects.create(organization=acme, index="users", external_id="x", data=json.loads(text)),
    ):
        with pytest.raises(ValidationError) as refused, transaction.atomic():
            save()
        assert list(refused.value.message_dict) in (["attributes"], ["data"])
    task = Task.objects.create(organization=acme, title="x", attributes={"kept": "\U0001f600 \ud7ff", "n": [1.5, None, True]})
    with pytest.raises(ValidationError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(attributes=json.loads(text))
    task.refresh_from_db()
    assert task.attributes == {"kept": "\U0001f600 \ud7ff", "n": [1.5, None, True]}
    assert (Task.objects.count(), DataRecord.objects.count()) == (1, 0)
