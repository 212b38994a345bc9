"""Who is asking, and how often."""

from __future__ import annotations

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle

from taskexport.errors import Unauthenticated
from tasks import access, sessions


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer` with a JWT of a session or with a service account's `ID:SECRET`."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        token = token.strip()
        if scheme.lower() != "bearer" or not token or not token.isascii():
            raise Unauthenticated("Send the header  Authorization: Bearer TOKEN.", code="token_invalid")
        if ":" in token:
            opened = access.authenticate_access_token(token)
            return opened.user, opened
        return sessions.user_of(token), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="taskexport"'


class UserThrottle(UserRateThrottle):
    """Calls a minute of one user, or of one address for the anonymous."""

    scope = "user"


class LoginThrottle(ScopedRateThrottle):
    """Sign-ins a minute of one address."""
