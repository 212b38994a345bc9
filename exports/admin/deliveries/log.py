"""The log of deliveries: what was sent where, how often it was tried, and a button to send it again."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern

from exports.admin.deliveries import shown
from exports.models import Delivery, DeliveryKind, DeliveryState
from exports.services.deliveries import reading
from taskexport.errors import AppError, Forbidden, NotFound
from taskexport.screens import Screen
from taskexport.staff import OrganizationFilter, WordsFilter
from tasks.access import Action

AT_ONCE = 200  # sent again by one press of a button
TRIES_SHOWN = 100


class StateFilter(WordsFilter):
    """By whether it has arrived; what was given up is the dead letters."""

    title, parameter_name = "state", "state"
    words = {DeliveryState.PENDING: "waiting", DeliveryState.SENT: "delivered", DeliveryState.DEAD: "given up (dead letters)"}


class KindFilter(WordsFilter):
    """By the way it goes."""

    title, parameter_name = "way", "kind"
    words = {DeliveryKind.MAIL: "mail", DeliveryKind.WEBHOOK: "webhook", DeliveryKind.COPY: "copy"}


@admin.action(description="Send the selected deliveries again")
def redeliver(modeladmin: Any, request: Any, queryset: QuerySet[Delivery]) -> None:
    """Tries each of them anew; what has arrived is left alone, and said."""
    chosen = list(queryset[: AT_ONCE + 1])
    if len(chosen) > AT_ONCE:
        messages.error(request, f"Choose at most {AT_ONCE} deliveries at once; nothing was changed.")
        return
    sent = 0
    for delivery in chosen:
        try:
            reading.redeliver(request.user, delivery)
            sent += 1
        except AppError as error:
            messages.error(request, f"{reading.where_to(delivery) or delivery.kind}: {error.message}")
    if sent:
        messages.success(request, f"{sent} of {len(chosen)} are tried again now.")


@admin.register(Delivery)
class DeliveryAdmin(Screen):
    """Looked at and sent again, never edited or deleted."""

    read_action = Action.ADMINISTER
    list_title = "Delivery log"
    empty = (
        "Nothing was sent yet.",
        "",
        "Mails, calls of webhooks and copies of files are listed here, from the moment they are due until a while after they arrived.",
    )
    list_display = ("made_at", "about", "goes_to", "state_badge", "tries", "last_error", "organization")
    list_filter = (StateFilter, KindFilter, OrganizationFilter)
    ordering = ("-created_at", "-pk")
    actions = (redeliver,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return reading.visible(request.user).defer("body", "job__spec")

    def find(self, request: HttpRequest, key: Any) -> Any:
        try:
            return reading.get(request.user, key)
        except Forbidden:
            raise NotFound("There is no such delivery.") from None

    @admin.display(description="written (UTC)", ordering="created_at")
    def made_at(self, delivery: Delivery) -> str:
        return f"{delivery.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="about")
    def about(self, delivery: Delivery) -> str:
        return delivery.job.name if delivery.job else delivery.title or shown.about(delivery).capitalize()

    @admin.display(description="to")
    def goes_to(self, delivery: Delivery) -> str:
        return f"{shown.KINDS[DeliveryKind(delivery.kind)]}: {reading.where_to(delivery)}"

    @admin.display(description="state", ordering="state")
    def state_badge(self, delivery: Delivery) -> str:
        return shown.state(delivery)

    @admin.display(description="tries")
    def tries(self, delivery: Delivery) -> int:
        return delivery.attempts

    @admin.display(description="last error")
    def last_error(self, delivery: Delivery) -> str:
        return delivery.error

    def get_urls(self) -> list[URLPattern]:
        return [self.own("<uuid:key>/redeliver/", self.redeliver_view, "redeliver"), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(delivery: Delivery) -> HttpResponse:
            context = {
                "title": str(self.about(delivery)),
                "delivery": delivery,
                "state": shown.state(delivery),
                "kind": shown.KINDS[DeliveryKind(delivery.kind)],
                "event": shown.about(delivery),
                "to": reading.where_to(delivery),
                "may_redeliver": reading.may_redeliver(delivery),
                "tries": delivery.tries.all()[:TRIES_SHOWN],
                "body": _indented(delivery.body),
            }
            return self.page(request, "delivery.html", context)

        return self.of_row(request, object_id, act)

    def redeliver_view(self, request: Any, key: Any) -> HttpResponse:
        """Sends it again."""

        def act(delivery: Delivery) -> HttpResponse:
            reading.redeliver(request.user, delivery)
            messages.success(request, "It is tried again now; load this page again in a few seconds.")
            return redirect(self.url("change", delivery.pk))

        return self.of_row(request, key, act, post=True)


def _indented(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False) if body else ""
    except ValueError:
        return body
