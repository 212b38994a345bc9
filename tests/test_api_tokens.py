"""Sign-in, sessions, and service accounts' access tokens."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings
from rest_framework.settings import api_settings

from tasks import access
from tasks.models import AccessToken, Member, Organization, Platform, Role, Session, User
from tests.api import JOBS, at_once
from tests.fixtures import PASSWORD
from tests.openapi import CheckedClient

SIMPLE_JWT: dict[str, Any] = settings.SIMPLE_JWT
TOKEN, REFRESH, REVOKE = "/api/token", "/api/token/refresh", "/api/token/revoke"
pytestmark = pytest.mark.django_db


def sign_in(user: User, password: str = PASSWORD) -> Any:
    return CheckedClient().post(TOKEN, {"email": user.email, "password": password})


def opens(token: str, scheme: str = "Bearer") -> bool:
    """Whether the API takes this token; a refusal says how to sign in."""
    response = CheckedClient().get(JOBS, headers={"Authorization": f"{scheme} {token}"})
    if response.status_code == 401:
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert response.json()["error_code"] == "token_invalid"
        return False
    assert response.status_code == 200
    return True


def refused(response: Any, code: str) -> bool:
    return (response.status_code, response.json()["error_code"]) == (401, code) and response["WWW-Authenticate"].startswith("Bearer")


def refresh(token: str) -> Any:
    return CheckedClient().post(REFRESH, {"refresh": token})


# -- People --------------------------------------------------------------------------------------------------------
def test_nobody_is_401() -> None:
    response = CheckedClient().get(JOBS)
    assert refused(response, "not_authenticated")


def test_a_person_signs_in_and_the_access_token_opens_the_api(editor: User) -> None:
    response = CheckedClient().post(f"{TOKEN}/", {"email": f"  {editor.email.upper()} ", "password": PASSWORD})
    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert opens(response.json()["access"])
    assert opens(response.json()["access"], "bearer")


@pytest.mark.parametrize("reason", ["password", "nobody", "inactive", "service", "service without password"])
def test_a_sign_in_is_refused_in_the_same_words_for_every_reason(editor: User, reason: str) -> None:
    email, password = editor.email, PASSWORD
    if reason == "password":
        password = "wrong"
    elif reason == "nobody":
        email = "nobody@example.com"
    elif reason == "inactive":
        User.objects.update(is_active=False)
    else:
        service = User.objects.create_user("service@example.com", PASSWORD if reason == "service" else None, is_service=True)
        email = service.email
    response = CheckedClient().post(TOKEN, {"email": email, "password": password})
    assert refused(response, "credentials_invalid")
    assert response.json()["message"] == "E-mail or password is wrong."
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b.c"}, {"email": 5, "password": "x"}, {"email": "a@b.c", "password": "x" * 501}, {"username": "x"}]
)
def test_a_sign_in_with_a_wrong_body_is_400(body: dict[str, Any]) -> None:
    assert CheckedClient().post(TOKEN, body).status_code == 400


def test_an_access_token_ends_after_ten_minutes(editor: User) -> None:
    with time_machine.travel(datetime.now(UTC), tick=False) as now:
        access_token = sign_in(editor).json()["access"]
        now.shift(settings.ACCESS_TOKEN_SECONDS)
        assert opens(access_token)
        now.shift(SIMPLE_JWT["LEEWAY"] + 1)
        assert not opens(access_token)


def test_a_refresh_brings_a_new_pair_and_spends_the_old_one(editor: User) -> None:
    first = sign_in(editor).json()
    second = refresh(first["refresh"])
    assert second.status_code == 200
    assert opens(second.json()["access"])
    assert opens(first["access"])
    assert refresh(second.json()["refresh"]).status_code == 200


def test_a_refresh_token_used_twice_ends_the_session(editor: User) -> None:
    first = sign_in(editor).json()
    second = refresh(first["refresh"]).json()
    other = sign_in(editor).json()
    assert refused(refresh(first["refresh"]), "token_reused")
    assert refused(refresh(second["refresh"]), "token_invalid")
    assert not opens(second["access"])
    assert not opens(first["access"])
    assert opens(other["access"])


@pytest.mark.django_db(transaction=True)
def test_of_six_refreshes_at_once_exactly_one_wins(editor: User) -> None:
    token = sign_in(editor).json()["refresh"]
    answers = at_once(6, lambda _: refresh(token))
    assert sorted(answer.status_code for answer in answers) == [200, *[401] * 5]
    winner = next(answer for answer in answers if answer.status_code == 200).json()
    assert not opens(winner["access"])  # a token used twice was stolen from one of the two
    assert Session.objects.get().revoked_at is not None


def test_a_revoked_session_closes_its_access_token_at_once(editor: User) -> None:
    pair, other = sign_in(editor).json(), sign_in(editor).json()
    for _ in range(2):  # twice is fine
        response = CheckedClient().post(REVOKE, {"refresh": pair["refresh"]})
        assert (response.status_code, response.content) == (204, b"")
    assert not opens(pair["access"])
    assert refused(refresh(pair["refresh"]), "token_invalid")
    assert opens(other["access"])


def test_a_new_password_ends_all_sessions(editor: User) -> None:
    pair = sign_in(editor).json()
    editor.set_password("another horse battery")
    editor.save()
    assert not opens(pair["access"])
    assert refused(refresh(pair["refresh"]), "token_invalid")
    assert opens(sign_in(editor, "another horse battery").json()["access"])


def test_an_inactive_users_tokens_are_refused(editor: User) -> None:
    pair = sign_in(editor).json()
    User.objects.update(is_active=False)
    assert not opens(pair["access"])
    assert refused(refresh(pair["refresh"]), "token_invalid")
    User.objects.update(is_active=True)
    assert opens(pair["access"])


def test_a_deleted_users_tokens_are_refused() -> None:
    user = User.objects.create_user("gone@example.com", PASSWORD)
    pair = sign_in(user).json()
    user.delete()
    assert not opens(pair["access"])
    assert refused(refresh(pair["refresh"]), "token_invalid")


def test_a_session_ends_however_lively_it_is(editor: User) -> None:
    pair = sign_in(editor).json()
    Session.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert not opens(pair["access"])
    assert refused(refresh(pair["refresh"]), "token_invalid")


def test_a_token_of_one_kind_is_none_of_the_other(editor: User) -> None:
    pair = sign_in(editor).json()
    assert not opens(pair["refresh"])
    assert refused(refresh(pair["access"]), "token_invalid")
    assert refused(CheckedClient().post(REVOKE, {"refresh": pair["access"]}), "token_invalid")
    assert opens(pair["access"])


def forged(token: str, key: str, **claims: Any) -> str:
    known = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode({**known, **claims}, key, algorithm="HS256")


def test_forged_tokens_are_refused(editor: User) -> None:
    token = sign_in(editor).json()["access"]
    header, payload, signature = token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    other = base64.urlsafe_b64encode(json.dumps({"token_type": "access"}).encode()).rstrip(b"=").decode()
    ours = SIMPLE_JWT["SIGNING_KEY"]
    assert opens(forged(token, ours))
    for wrong in (
        *(f"{none}.{payload}.", f"{header}.{other}.{signature}", f"{header}.{payload}.{signature[:-4]}AAAA", f"{header}.{payload}"),
        *(forged(token, "x" * 64), forged(token, settings.SECRET_KEY), forged(token, ours, iss="else"), forged(token, ours, aud="else")),
        *(forged(token, ours, sid=None), forged(token, ours, sid="x"), forged(token, ours, sid=["x"]), "x", "a.b.c", "\x00", "é", "a" * 9000),
    ):
        assert not opens(wrong), wrong


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Bearer:"])
def test_another_scheme_is_401(editor: User, scheme: str) -> None:
    assert not opens(sign_in(editor).json()["access"], scheme)


# -- Service accounts ----------------------------------------------------------------------------------------------
def test_a_service_account_opens_its_organization_with_id_and_secret(acme: Organization) -> None:
    token, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    number, _, secret = text.partition(":")
    assert number == str(token.pk)
    assert opens(text)
    assert secret not in str(list(AccessToken.objects.values()))


@pytest.mark.parametrize("reason", ["revoked", "expired", "inactive", "no member", "no role", "two organizations", "person", "superuser", "owner"])
def test_a_closed_access_token_is_refused(acme: Organization, globex: Organization, platform: Platform, reason: str) -> None:
    token, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    assert opens(text)
    now = datetime.now(UTC)
    if reason == "revoked":
        AccessToken.objects.update(revoked_at=now)
    elif reason == "expired":
        AccessToken.objects.update(expires_at=now)
    elif reason == "inactive":
        User.objects.update(is_active=False)
    elif reason == "no member":
        Member.objects.all().delete()
    elif reason == "no role":
        Member.objects.update(role=None)
    elif reason == "two organizations":
        Member.objects.create(organization=globex, user=token.user, role=Role.VIEWER, name="ERP")
    elif reason == "superuser":  # either would open more than the token's organization
        User.objects.update(is_superuser=True)
    elif reason == "owner":
        platform.owners.add(token.user)
    else:
        User.objects.update(is_service=False)
    assert not opens(text)


def test_a_tampered_access_token_is_refused(acme: Organization) -> None:
    token, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    other, _ = access.create_access_token(acme, name="Other", role=Role.ADMIN)
    secret = text.partition(":")[2]
    for wrong in (
        *(
            f"{other.pk}:{secret}",
            f"{token.pk}:{secret[:-1]}",
            f"{token.pk}:{secret}x",
            f"{token.pk}:",
            f":{secret}",
            ":",
            f"{token.pk}:{token.secret_sha256}",
        ),
        *(f"-{text}", f"+{text}", f"0x{text}", f"{'9' * 30}:{secret}", f"{token.pk}:{secret.swapcase()}", f"{text}:x"),
    ):
        assert not opens(wrong), wrong
    assert opens(text)


def test_an_access_tokens_role_is_its_members(acme: Organization) -> None:
    _, text = access.create_access_token(acme, name="ERP", role=Role.VIEWER)
    client = CheckedClient(headers={"Authorization": f"Bearer {text}"})
    body = {
        "org_id": str(acme.uuid),
        "org_name": "a",
        "name": "a",
        "type": "basic",
        "creation_start_date": "2024-01-01",
        "creation_end_date": "2024-01-01",
    }
    assert client.post(JOBS, body).status_code == 403
    Member.objects.update(role=Role.EDITOR)
    assert client.post(JOBS, body).status_code == 201


# -- Throttles -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [TOKEN, REFRESH, REVOKE])
def test_guessing_is_429_whatever_the_forwarded_address(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "login", "5/min")
    answers = [CheckedClient().post(path, {}, headers={"X-Forwarded-For": f"10.0.0.{n}, 10.1.1.{n}"}) for n in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert answers[-1].json()["error_code"] == "throttled"
    assert 1 <= int(answers[-1]["Retry-After"]) <= 61


def test_a_throttled_sign_in_is_refused_with_the_right_password_too(editor: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api_settings.DEFAULT_THROTTLE_RATES, "login", "2/min")
    assert [sign_in(editor, "wrong").status_code for _ in range(2)] == [401, 401]
    assert sign_in(editor).status_code == 429
    assert not Session.objects.exists()
