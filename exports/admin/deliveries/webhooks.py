"""Webhooks: the list, a new one with its secret shown once, one's page with its buttons and its last deliveries."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern

from exports.admin.deliveries import shown
from exports.models import DeliveryState, Event, Webhook
from exports.services.deliveries import reading, webhooks
from taskexport import ids
from taskexport.errors import AppError, Forbidden, NotFound
from taskexport.screens import AskingForm, Screen, badge, once
from tasks.access import Action

WHY = "Whoever takes the calls checks their signature with it. Keep it where other secrets are kept."


class WebhookForm(AskingForm):
    """What the service asks for."""

    name = forms.CharField(max_length=webhooks.NAME_LENGTH)
    url = forms.CharField(
        label="URL",
        max_length=2000,
        widget=forms.URLInput(attrs={"autocomplete": "off"}),
        help_text="https, and reachable from the internet. Each event is sent there as a POST of JSON.",
    )
    events = forms.MultipleChoiceField(
        label="Call it when",
        choices=[(event.value, shown.EVENTS[event].capitalize()) for event in webhooks.EVENTS],
        widget=forms.CheckboxSelectMultiple,
    )
    field_order = ("organization", "name", "url", "events")

    def values(self) -> dict[str, Any]:
        """As the service takes them."""
        return {name: self.cleaned_data[name] for name in ("name", "url", "events")}


def _test(user: Any, webhook: Webhook) -> tuple[int, str]:
    tried = webhooks.test(user, webhook)
    if tried.state == DeliveryState.SENT:
        return messages.SUCCESS, f"It answered {tried.status_code or ''}: the test has arrived.".replace(" :", ":")
    return messages.ERROR, f"The test did not arrive: {tried.error or 'no answer'}"


def _switch(user: Any, webhook: Webhook, *, on: bool) -> tuple[int, str]:
    webhooks.update(user, webhook, {"enabled": on})
    return messages.SUCCESS, "It is on: events are sent from now on." if on else "It is off: nothing is sent until it is switched on."


# The button: its label, for which webhooks it is, and what it does; it gives a message's level and text.
VERBS: dict[str, tuple[str, Callable[[Webhook], bool], Callable[[Any, Webhook], tuple[int, str]]]] = {
    "test": ("Send a test", lambda one: True, _test),
    "enable": ("Switch on", lambda one: not one.enabled, partial(_switch, on=True)),
    "disable": ("Switch off", lambda one: one.enabled, partial(_switch, on=False)),
}


@admin.register(Webhook)
class WebhookAdmin(Screen):
    """Addresses that are called when something happens."""

    read_action = add_action = Action.ADMINISTER
    list_title = "Webhooks"
    empty = ("No webhooks yet.", "Add one, and another system learns at once when an export is done or has failed.", "")
    list_display = ("name", "state", "about", "address", "organization")
    search_fields = ("name",)
    search_help_text = "A part of the name"
    ordering = ("name", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return webhooks.visible(request.user)

    def find(self, request: HttpRequest, key: Any) -> Any:
        try:
            return webhooks.get(request.user, ids.number(key))
        except Forbidden:
            raise NotFound("There is no such webhook.") from None

    @admin.display(description="state", ordering="enabled")
    def state(self, webhook: Webhook) -> str:
        if not webhook.enabled:
            return badge("Off: it kept failing", "bad") if webhook.disabled_reason else badge("Off", "off")
        return badge("On, failing", "wait") if webhook.failing_since else badge("On", "ok")

    @admin.display(description="when")
    def about(self, webhook: Webhook) -> str:
        return ", ".join(shown.EVENTS[Event(event)] for event in webhook.events if event in Event.values)

    @admin.display(description="URL")
    def address(self, webhook: Webhook) -> str:
        return webhook.url

    def get_urls(self) -> list[URLPattern]:
        return [
            self.own("<int:key>/edit/", self.edit_view, "edit"),
            self.own("<int:key>/rotate/", self.rotate_view, "rotate"),
            self.own("<int:key>/remove/", self.remove_view, "remove"),
            *(self.own(f"<int:key>/{name}/", partial(self.verb_view, verb=name), name) for name in VERBS),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(webhook: Webhook) -> HttpResponse:
            recent = reading.visible(request.user).filter(webhook=webhook).defer("body", "job__spec")[: shown.RECENT]
            context = {
                "title": webhook.name,
                "webhook": webhook,
                "state": self.state(webhook),
                "events": self.about(webhook),
                "nonce": uuid.uuid4(),
                "verbs": [(name, label) for name, (label, fits, _) in VERBS.items() if fits(webhook)],
                "deliveries": [shown.line(delivery) for delivery in recent],
            }
            return self.page(request, "webhook.html", context)

        return self.of_row(request, object_id, act)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        initial = {"events": webhooks.DEFAULTS["events"]}
        form = WebhookForm(request.user, request.POST if request.method == "POST" else None, action=Action.ADMINISTER, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                made = form.once(lambda: webhooks.create(request.user, form.cleaned_data["organization"], form.values()))
            except AppError as error:
                form.refuse(error)
            else:
                if made is None:
                    messages.info(
                        request,
                        "This was sent before: the webhook is there, and its secret is not shown again. Press New secret for another.",
                    )
                    return redirect(self.url("changelist"))
                webhook, secret = made
                said = {"title": f"{webhook.name} is made", "secret": secret, "why": WHY, "next_url": self.url("change", webhook.pk)}
                return self.show_secret(request, said)
        context = {"title": "New webhook", "form": form, "submit": "Make webhook", "cancel_url": self.url("changelist")}
        return self.page(request, "admin/taskexport/form.html", context)

    def edit_view(self, request: Any, key: int) -> HttpResponse:
        """The form of a webhook that is there; its secret stays."""

        def act(webhook: Webhook) -> HttpResponse:
            initial = {name: getattr(webhook, name) for name in ("name", "url", "events")}
            data = request.POST if request.method == "POST" else None
            form = WebhookForm(request.user, data, action=Action.ADMINISTER, row=webhook, initial=initial)
            if request.method == "POST" and form.is_valid():
                try:
                    webhooks.update(request.user, webhook, form.values(), version=form.cleaned_data["version"])
                except AppError as error:
                    form.refuse(error)
                else:
                    messages.success(request, "The webhook is saved.")
                    return redirect(self.url("change", webhook.pk))
            back = self.url("change", webhook.pk)
            context = {"title": f"Edit {webhook.name}", "here": "Edit", "form": form, "cancel_url": back, "parent": webhook.name, "parent_url": back}
            return self.page(request, "admin/taskexport/form.html", context)

        return self.of_row(request, key, act)

    def rotate_view(self, request: Any, key: int) -> HttpResponse:
        """A new secret, shown once."""

        def act(webhook: Webhook) -> HttpResponse:
            nonce = request.POST.get("nonce") or uuid.uuid4()
            secret = once(request.user, f"rotate {webhook.pk} {nonce}", lambda: webhooks.rotate_secret(request.user, webhook))
            if secret is None:
                messages.info(request, "This was sent before: the new secret is there, and is not shown again. Press New secret for another.")
                return redirect(self.url("change", webhook.pk))
            why = f"{WHY} For {webhooks.OLD_SECRET_HOURS} hours calls are signed with the old one as well."
            return self.show_secret(
                request, {"title": f"{webhook.name} has a new secret", "secret": secret, "why": why, "next_url": self.url("change", webhook.pk)}
            )

        return self.of_row(request, key, act, post=True)

    def verb_view(self, request: Any, key: int, verb: str) -> HttpResponse:
        """Presses one of the page's buttons."""

        def act(webhook: Webhook) -> HttpResponse:
            level, text = VERBS[verb][2](request.user, webhook)
            messages.add_message(request, level, text)
            return redirect(self.url("change", webhook.pk))

        return self.of_row(request, key, act, post=True)

    def remove_view(self, request: Any, key: int) -> HttpResponse:
        """Asks once more, and deletes it."""

        def act(webhook: Webhook) -> HttpResponse:
            if request.method != "POST":
                texts = ("Nothing is sent to it any more, and its lines of the delivery log go with it.", "To stop it for a while, switch it off.")
                return self.ask(request, webhook, "Delete", texts)
            webhooks.delete(request.user, webhook)
            messages.success(request, f"{webhook.name}: deleted.")
            return redirect(self.url("changelist"))

        return self.of_row(request, key, act)
