"""`manage.py create_access_token` and `revoke_access_token`."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from taskexport.errors import Unauthenticated
from tasks import access
from tasks.models import AccessToken, Member, Organization, User
from tests.case_tasks import TASKS
from tests.openapi import CheckedClient

pytestmark = pytest.mark.django_db


def create(**options: Any) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("create_access_token", *(f"--{key}={value}" for key, value in {"name": "ERP", **options}.items()), stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_token_is_printed_once_alone_and_opens_the_api(acme: Organization) -> None:
    for name in (acme.slug, str(acme.uuid), str(acme.pk)):
        out, said = create(organization=name, role="viewer")
        assert re.fullmatch(r"\d+:[\w-]{43}\n", out)
        token = AccessToken.objects.latest("pk")
        secret = out.strip().partition(":")[2]
        assert secret not in said + token.secret_sha256
        assert "viewer, until it is revoked" in said
        assert (token.organization, token.name, token.expires_at) == (acme, "ERP", None)
        assert Member.objects.get(user=token.user).role == "viewer"
        assert CheckedClient(headers={"Authorization": f"Bearer {out.strip()}"}).get(TASKS).status_code == 200


def test_an_end_in_days_or_by_the_calendar(acme: Organization) -> None:
    for text, expected in (
        ("30", datetime.now(UTC) + timedelta(days=30)),
        ("2090-12-31", datetime(2091, 1, 1, tzinfo=UTC)),
        ("2090-12-31T12:00:00+02:00", datetime(2090, 12, 31, 10, tzinfo=UTC)),
    ):
        create(organization="acme", expires=text)
        end = AccessToken.objects.latest("pk").expires_at
        assert end
        assert abs(end - expected) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "options",
    [
        {"organization": "nobody"},
        {"organization": "acme", "role": "owner"},
        {"organization": "acme", "name": " "},
        {"organization": "acme", "name": "x" * 201},
        {"organization": "acme", "expires": "2020-01-01"},
        {"organization": "acme", "expires": "soon"},
        {"organization": "acme", "expires": "0"},
        {"organization": "acme", "expires": "9" * 20},
    ],
)
def test_a_wrong_word_makes_nothing(acme: Organization, options: dict[str, str]) -> None:
    with pytest.raises(CommandError):
        create(**options)
    assert not AccessToken.objects.exists()
    assert not User.objects.exists()


def test_revoking_ends_it_and_an_unknown_id_revokes_none(acme: Organization) -> None:
    token, text = access.create_access_token(acme, name="ERP", role="editor")  # type: ignore[arg-type]
    for unknown in ("999999", "9" * 30):
        with pytest.raises(CommandError, match="Nothing was revoked"):
            call_command("revoke_access_token", str(token.pk), unknown)
    assert access.authenticate_access_token(text) == token
    for said in ("revoked", "was revoked before"):
        out = io.StringIO()
        call_command("revoke_access_token", str(token.pk), stdout=out)
        assert out.getvalue() == f"{token.pk} (ERP of Acme): {said}\n"
        with pytest.raises(Unauthenticated):
            access.authenticate_access_token(text)
