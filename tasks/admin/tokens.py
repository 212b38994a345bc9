"""Access tokens: the list, a new one with its secret shown once, one's page, and its end."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern
from django.utils import timezone

from taskexport import ids
from taskexport.errors import AppError
from taskexport.screens import AskingForm, Screen, badge
from tasks import tokens
from tasks.access import Action
from tasks.models import AccessToken, Role

ROLES = {
    Role.VIEWER: "Viewer: reads, and downloads what others exported",
    Role.EDITOR: "Editor: also writes tasks, makes and runs exports",
    Role.ADMIN: "Admin: also changes other people's exports, schedules, webhooks and settings",
}
WHY = "Send it as Authorization: Bearer ID:SECRET with each call of the API. Whoever has it may do what its role may."
REVOKING = ("Whoever uses it is refused from then on. It can't be undone; a new token takes its place.",)
TONES = {"active": "ok", "expired": "off", "revoked": "bad"}
LAST_DAY = date(2099, 12, 31)


class NewTokenForm(AskingForm):
    """What a new token is for, and what it may do."""

    name = forms.CharField(max_length=tokens.NAME_LENGTH, help_text="What uses it, such as the ERP's nightly loader.")
    role = forms.ChoiceField(choices=list(ROLES.items()), initial=Role.VIEWER, help_text="What it may do, in this organization alone.")
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="It opens until the end of this day, UTC. Empty: until it is revoked.",
    )
    field_order = ("organization", "name", "role", "expires_on")
    names = {"expires_at": "expires_on"}

    def expires_at(self) -> datetime | None:
        """The end of the last day."""
        day = self.cleaned_data["expires_on"]
        return datetime.combine(min(day, LAST_DAY), time(), tzinfo=UTC) + timedelta(days=1) if day else None


@admin.action(description="Revoke selected access tokens", permissions=["add"])
def revoke(modeladmin: Any, request: Any, queryset: QuerySet[AccessToken]) -> None:
    """Ends the tokens; one that was revoked before stays as it was."""
    for token in queryset:
        modeladmin.end(request, token)


@admin.register(AccessToken)
class AccessTokenAdmin(Screen):
    """Secrets of service accounts: made, listed, revoked; never shown twice, never changed."""

    read_action = add_action = Action.ADMINISTER
    list_title = "Access tokens"
    empty = ("No access tokens yet.", "Make one for each system that calls the API, so that each can be revoked by itself.", "")
    list_display = ("name", "state", "role", "ends", "used", "made", "organization")
    search_fields = ("name",)
    search_help_text = "A part of the name"
    ordering = ("-created_at", "-pk")
    actions = (revoke,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tokens.visible(request.user)

    def find(self, request: HttpRequest, key: Any) -> Any:
        return tokens.get(request.user, ids.number(key))

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        return not lookup.startswith("secret") and super().lookup_allowed(lookup, value, request)

    @admin.display(description="state")
    def state(self, token: AccessToken) -> str:
        return badge(tokens.state(token).capitalize(), TONES[tokens.state(token)])

    @admin.display(description="role")
    def role(self, token: Any) -> str:
        return token.given_role or "none"

    @admin.display(description="ends (UTC)", ordering="expires_at")
    def ends(self, token: AccessToken) -> str:
        return f"{token.expires_at:%Y-%m-%d %H:%M}" if token.expires_at else "never"

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, token: AccessToken) -> str:
        if token.last_used_at is None:
            return "never"
        minutes = int((timezone.now() - token.last_used_at).total_seconds()) // 60
        if minutes < 10:
            return "just now"
        return f"{minutes} minutes ago" if minutes < 60 else f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // 1440} days ago"

    @admin.display(description="made (UTC)", ordering="created_at")
    def made(self, token: AccessToken) -> str:
        return f"{token.created_at:%Y-%m-%d %H:%M}"

    def get_urls(self) -> list[URLPattern]:
        return [self.own("<int:key>/revoke/", self.revoke_view, "revoke"), *super().get_urls()]

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewTokenForm(request.user, request.POST if request.method == "POST" else None, action=Action.ADMINISTER)
        if request.method == "POST" and form.is_valid():
            asked = form.cleaned_data
            try:
                made = form.once(lambda: tokens.create(request.user, asked["organization"], asked["name"], asked["role"], form.expires_at()))
            except AppError as error:
                form.refuse(error)
            else:
                if made is None:
                    messages.info(request, "This was sent before: the token is there, and its secret is not shown again. Revoke it and make another.")
                    return redirect(self.url("changelist"))
                token, text = made
                self.log_addition(request, token, "Made.")
                said = {"title": f"{token.name} is made", "secret": text, "why": WHY, "next_url": self.url("change", token.pk)}
                return self.show_secret(request, said)
        context = {"title": "New access token", "form": form, "submit": "Make token", "cancel_url": self.url("changelist")}
        return self.page(request, "admin/taskexport/form.html", context)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(token: AccessToken) -> HttpResponse:
            context = {
                "title": token.name,
                "token": token,
                "state": self.state(token),
                "role": ROLES.get(Role(self.role(token)), "") if self.role(token) in Role.values else "none: it opens nothing",
                "ends": self.ends(token),
                "used": self.used(token),
                "may_revoke": token.revoked_at is None,
            }
            return self.page(request, "token.html", context)

        return self.of_row(request, object_id, act)

    def revoke_view(self, request: Any, key: int) -> HttpResponse:
        """Asks once more, and ends it."""

        def act(token: AccessToken) -> HttpResponse:
            if request.method != "POST":
                return self.ask(request, token, "Revoke", REVOKING)
            self.end(request, token)
            return redirect(self.url("change", token.pk))

        return self.of_row(request, key, act)

    def end(self, request: Any, token: AccessToken) -> None:
        """Revokes it, and says so."""
        if tokens.revoke(request.user, token):
            self.log_change(request, token, "Revoked.")
            messages.success(request, f"{token}: revoked. Whoever uses it is refused from now on.")
        else:
            messages.info(request, f"{token}: was revoked before.")
