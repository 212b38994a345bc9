"""Sign-in for the REST contracts: `/api/token`, `/api/token/refresh`, `/api/token/revoke`."""

from __future__ import annotations

from django.urls import URLPattern
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from taskexport.api.auth import LoginThrottle
from taskexport.api.strict import StrictSerializer, Text, parse_body
from taskexport.api.views import ContractView, documented_errors, route
from tasks import sessions


class Credentials(StrictSerializer):
    """Who signs in."""

    email = Text(max_length=254)
    password = Text(max_length=500)


@extend_schema_serializer(examples=[OpenApiExample("A refresh token", {"refresh": "eyJhbGciOiJIUzI1NiJ9.…"}, request_only=True)])
class RefreshBody(StrictSerializer):
    """A refresh token."""

    refresh = Text(max_length=4000)


class TokenPair(serializers.Serializer):
    """An access token for ten minutes and the one refresh token that brings the next pair."""

    access = serializers.CharField()
    refresh = serializers.CharField()


ERRORS = documented_errors(400, 401, 413, 415, 429)


class _Public(ContractView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (LoginThrottle,)
    throttle_scope = "login"

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="taskexport"'


class TokenView(_Public):
    """Sign in."""

    @extend_schema(
        operation_id="create_token",
        tags=["authentication"],
        request=Credentials,
        responses={200: TokenPair, **ERRORS},
        examples=[OpenApiExample("A person", {"email": "admin@acme.example", "password": "…"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Sign in by e-mail and password."""
        body = parse_body(Credentials, request)
        return Response(sessions.sign_in(request, body["email"], body["password"]))


class RefreshView(_Public):
    """Renew."""

    @extend_schema(operation_id="refresh_token", tags=["authentication"], request=RefreshBody, responses={200: TokenPair, **ERRORS})
    def post(self, request: Request) -> Response:
        """Spend a refresh token for a new pair; a token that was spent before ends its session."""
        return Response(sessions.refresh(parse_body(RefreshBody, request)["refresh"]))


class RevokeView(_Public):
    """Sign out."""

    @extend_schema(operation_id="revoke_token", tags=["authentication"], request=RefreshBody, responses={204: None, **ERRORS})
    def post(self, request: Request) -> Response:
        """End the session of a refresh token, its access tokens included."""
        sessions.revoke(parse_body(RefreshBody, request)["refresh"])
        return Response(status=204)


urlpatterns: list[URLPattern] = [
    *route("token", TokenView.as_view(), "token"),
    *route("token/refresh", RefreshView.as_view(), "token-refresh"),
    *route("token/revoke", RevokeView.as_view(), "token-revoke"),
]
