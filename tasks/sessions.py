"""Sign-in by password: a session with short-lived access tokens and one refresh token at a time.

Both tokens name their session, so revoking it ends all of them at once; a refresh token that is used twice ends it too,
for one of the two users stole it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.sessions.models import Session as BrowserSession
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from taskexport.errors import Unauthenticated
from tasks.models import Session, User

_REFUSED = "Sign in again: this token is invalid, revoked or expired."


def sign_in(request: Any, email: str, password: str) -> dict[str, str]:
    """`{"access", "refresh"}` of a new session. Raises Unauthenticated, in the same words for every reason."""
    user = authenticate(request, username=email.strip().lower(), password=password)
    if not isinstance(user, User) or user.is_service:
        raise Unauthenticated("E-mail or password is wrong.", code="credentials_invalid")
    now = timezone.now()
    session = Session(user=user, password_mark=user.get_session_auth_hash(), expires_at=now + timedelta(seconds=settings.SESSION_MAX_SECONDS))
    tokens, session.refresh_jti = _tokens(session)
    session.save()
    return tokens


def refresh(token: str) -> dict[str, str]:
    """A new pair for a refresh token, which is spent by this. Raises Unauthenticated; a token spent before ends its session."""
    claims = _refresh_claims(token)
    session = _live(claims.get("sid"))
    if session is None:
        raise Unauthenticated(_REFUSED, code="token_invalid")
    tokens, jti = _tokens(session)
    # Whoever changes the row first has used the token; of two at once exactly one does.
    if not Session.objects.filter(pk=session.pk, refresh_jti=claims["jti"], revoked_at=None).update(refresh_jti=jti):
        Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=Now())
        raise Unauthenticated(_REFUSED, code="token_reused")
    return tokens


def revoke(token: str) -> None:
    """Ends the session of this refresh token; one that is ended already is fine. Raises Unauthenticated."""
    claims = _refresh_claims(token)
    Session.objects.filter(pk=_uuid(claims.get("sid")), revoked_at=None).update(revoked_at=Now())


def user_of(token: str) -> User:
    """The active user of an access token whose session is alive. Raises Unauthenticated."""
    try:
        claims = AccessToken(token)  # type: ignore[arg-type]
    except TokenError:
        raise Unauthenticated(_REFUSED, code="token_invalid") from None
    session = _live(claims.get("sid"))
    if session is None:
        raise Unauthenticated(_REFUSED, code="token_invalid")
    return session.user


def forget() -> int:
    """Deletes sessions that have ended, of the API and of browsers; how many."""
    return Session.objects.filter(expires_at__lt=Now()).delete()[0] + BrowserSession.objects.filter(expire_date__lt=Now()).delete()[0]


def _live(sid: Any) -> Session | None:
    sessions = Session.objects.select_related("user").filter(revoked_at=None, expires_at__gt=Now(), user__is_active=True)
    session = sessions.filter(pk=_uuid(sid)).first()
    return session if session and constant_time_compare(session.password_mark, session.user.get_session_auth_hash()) else None


def _uuid(sid: Any) -> uuid.UUID:
    try:
        return uuid.UUID(str(sid))
    except ValueError:
        raise Unauthenticated(_REFUSED, code="token_invalid") from None


def _refresh_claims(token: str) -> RefreshToken:
    try:
        return RefreshToken(token)  # type: ignore[arg-type]
    except TokenError:
        raise Unauthenticated(_REFUSED, code="token_invalid") from None


def _tokens(session: Session) -> tuple[dict[str, str], str]:
    pair = RefreshToken.for_user(session.user)
    pair["sid"] = str(session.pk)
    return {"access": str(pair.access_token), "refresh": str(pair)}, str(pair["jti"])
