"""The admin's screens of access tokens: a secret is shown once, a refusal says where, and the use of a token is noted."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from taskexport.errors import AppError
from tasks import access, tokens
from tasks.models import AccessToken, Member, Organization, Role, User

StaffClientOf = Callable[[User], Client]
LIST = "/admin/tasks/accesstoken/"
ADD = f"{LIST}add/"


def page(token: AccessToken, name: str = "change") -> str:
    return f"{LIST}{token.pk}/{name}/"


def form(organization: Organization, **values: Any) -> dict[str, Any]:
    return {"organization": organization.pk, "name": "Loader", "role": "editor", "nonce": str(uuid.uuid4())} | values


def test_a_token_is_made_once_with_role_and_last_day(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client = staff_client_of(admin)
    assert "No access tokens yet." in client.get(LIST).content.decode()
    asked = form(acme, expires_on="2090-01-31")
    first = client.post(ADD, asked)
    match = re.search(r"data-secret>(\d+:[\w-]{43})<", first.content.decode())
    assert match
    assert 'data-copy="secret"' in first.content.decode()
    token = AccessToken.objects.get()
    assert token.expires_at == datetime(2090, 2, 1, tzinfo=UTC)
    assert Member.objects.get(user=token.user).role == "editor"
    again = client.post(ADD, asked, follow=True)
    assert "not shown again" in " ".join(map(str, again.context["messages"]))
    assert AccessToken.objects.count() == 1
    later = again.content.decode() + client.get(page(token)).content.decode()
    assert match[1].partition(":")[2] not in later
    assert "never" in client.get(page(token)).context["used"]
    assert access.authenticate_access_token(match[1]) == token
    assert client.get(page(token)).context["used"] == "just now"


def test_its_use_is_noted_every_five_minutes(acme: Organization) -> None:
    token, text = access.create_access_token(acme, name="Loader", role=Role.EDITOR)
    with CaptureQueriesContext(connection) as first:
        access.authenticate_access_token(text)
    with CaptureQueriesContext(connection) as second:
        access.authenticate_access_token(text)
    assert len(first) == len(second) + 1
    earlier = timezone.now() - timedelta(minutes=6)
    AccessToken.objects.update(last_used_at=earlier)
    access.authenticate_access_token(text)
    token.refresh_from_db()
    assert token.last_used_at
    assert token.last_used_at > earlier
    AccessToken.objects.update(revoked_at=timezone.now(), last_used_at=None)
    with pytest.raises(AppError):
        access.authenticate_access_token(text)
    assert AccessToken.objects.get().last_used_at is None


@pytest.mark.parametrize(
    ("values", "field"),
    [({"name": " "}, "name"), ({"role": "owner"}, "role"), ({"expires_on": "2020-01-01"}, "expires_on"), ({"expires_on": "x"}, "expires_on")],
)
def test_a_refusal_stands_at_its_field_and_nothing_typed_is_lost(
    values: dict[str, Any], field: str, admin: User, acme: Organization, staff_client_of: StaffClientOf
) -> None:
    response = staff_client_of(admin).post(ADD, form(acme, **{"name": "As typed"} | values))
    assert field in response.context["form"].errors
    assert "name" in values or 'value="As typed"' in response.content.decode()
    assert not AccessToken.objects.exists()


def test_revoking_asks_once_more_and_is_for_good(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    token, _ = access.create_access_token(acme, name="Loader", role=Role.EDITOR)
    client = staff_client_of(admin)
    assert "Revoke Loader?" in client.get(page(token, "revoke")).content.decode()
    assert AccessToken.objects.get().revoked_at is None
    client.post(page(token, "revoke"))
    revoked_at = AccessToken.objects.get().revoked_at
    assert revoked_at
    text = client.get(page(token)).content.decode()
    assert "Revoked" in text
    assert "data-verb" not in text
    client.post(page(token, "revoke"))
    assert AccessToken.objects.get().revoked_at == revoked_at
    assert client.post(page(token)).status_code == 405


@pytest.mark.parametrize("role", ["editor", "viewer", "owner", "outsider"])
def test_nobody_else_sees_makes_or_revokes(
    request: pytest.FixtureRequest, role: str, acme: Organization, globex: Organization, staff_client_of: StaffClientOf
) -> None:
    token, _ = access.create_access_token(acme, name="Secret loader", role=Role.EDITOR)
    user = request.getfixturevalue(role)
    client = staff_client_of(user)
    for path in (LIST, page(token), page(token, "revoke")):
        assert "Secret" not in client.get(path, follow=True).content.decode(), path
    client.post(page(token, "revoke"))
    client.post(ADD, form(acme))
    with pytest.raises(AppError):
        tokens.revoke(user, token)
    with pytest.raises(AppError):
        tokens.create(user, acme, "Mine", "admin", None)
    assert AccessToken.objects.get().revoked_at is None


def test_the_list_costs_the_same_however_many_there_are(admin: User, acme: Organization, staff_client_of: StaffClientOf) -> None:
    client, counts = staff_client_of(admin), []
    for number in (1, 5):
        for each in range(number):
            access.create_access_token(acme, name=f"{number}.{each}", role=Role.EDITOR)
        with CaptureQueriesContext(connection) as queries:
            assert f"{number}.0" in client.get(LIST).content.decode()
        counts.append(len(queries))
    assert counts[0] == counts[1]
