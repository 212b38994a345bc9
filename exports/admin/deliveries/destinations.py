"""Destinations: buckets of an organization's own, to which schedules copy their files. Their secrets are taken and never shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern

from exports.admin.deliveries import shown
from exports.models import Destination
from exports.services.deliveries import destinations, reading
from taskexport import ids
from taskexport.errors import AppError, Forbidden, NotFound
from taskexport.screens import AskingForm, Screen, badge
from tasks.access import Action

SCHEDULES_SHOWN = 50


class DestinationForm(AskingForm):
    """What the service asks for."""

    name = forms.CharField(max_length=destinations.NAME_LENGTH)
    bucket = forms.CharField(max_length=63, help_text="Its name alone.")
    prefix = forms.CharField(  # type: ignore[assignment]
        required=False, max_length=302, help_text="Of every key, such as exports/tasks. Empty: none."
    )
    region = forms.CharField(max_length=40)
    endpoint = forms.CharField(
        required=False, max_length=500, label="Endpoint", help_text="Of a store that is not Amazon's: its URL. Empty: Amazon's."
    )
    access_key_id = forms.CharField(label="Access key id", max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    secret_access_key = forms.CharField(
        label="Secret access key", max_length=200, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), required=False
    )
    field_order = ("organization", "name", "bucket", "prefix", "region", "endpoint", "access_key_id", "secret_access_key")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        there = "Empty: it stays as it is. " if self.row else ""
        self.fields[
            "secret_access_key"
        ].help_text = f"{there}It is kept encrypted and never shown again; it needs the right to put and delete objects."

    def values(self) -> dict[str, Any]:
        """As the service takes them; no secret where none was typed."""
        found = {name: self.cleaned_data[name] for name in destinations.FIELDS}
        secret = self.cleaned_data[destinations.SECRET]
        return found | ({destinations.SECRET: secret} if secret else {})


@admin.register(Destination)
class DestinationAdmin(Screen):
    """Where schedules copy their files."""

    read_action = add_action = Action.ADMINISTER
    list_title = "Destinations"
    empty = ("No destinations yet.", "Add one, and a schedule can copy each of its files to a bucket of your own.", "")
    list_display = ("name", "bucket_path", "tested", "organization")
    search_fields = ("name", "bucket")
    search_help_text = "A part of the name or the bucket"
    ordering = ("name", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return destinations.visible(request.user)

    def find(self, request: HttpRequest, key: Any) -> Any:
        try:
            return destinations.get(request.user, ids.number(key))
        except Forbidden:
            raise NotFound("There is no such destination.") from None

    @admin.display(description="bucket")
    def bucket_path(self, destination: Destination) -> str:
        return f"{destination.bucket}/{destination.prefix}" if destination.prefix else destination.bucket

    @admin.display(description="state")
    def tested(self, destination: Destination) -> str:
        return badge("Tested", "ok") if destination.tested_at else badge("Not tested", "wait")

    def get_urls(self) -> list[URLPattern]:
        return [
            self.own("<int:key>/edit/", self.edit_view, "edit"),
            self.own("<int:key>/test/", self.test_view, "test"),
            self.own("<int:key>/remove/", self.remove_view, "remove"),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])

        def act(destination: Destination) -> HttpResponse:
            recent = reading.visible(request.user).filter(destination=destination).defer("body", "job__spec")[: shown.RECENT]
            context = {
                "title": destination.name,
                "destination": destination,
                "state": self.tested(destination),
                "tested_at": shown.utc(destination.tested_at),
                "schedules": destination.schedules.order_by("name", "pk")[:SCHEDULES_SHOWN],
                "deliveries": [shown.line(delivery) for delivery in recent],
            }
            return self.page(request, "destination.html", context)

        return self.of_row(request, object_id, act)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        data = request.POST if request.method == "POST" else None
        form = DestinationForm(request.user, data, action=Action.ADMINISTER, initial=dict(destinations.DEFAULTS))
        if request.method == "POST" and form.is_valid():
            try:
                made = destinations.create(request.user, form.cleaned_data["organization"], form.values())
            except AppError as error:
                form.refuse(error)
            else:
                messages.success(request, "The destination is made. Test it before a schedule needs it.")
                return redirect(self.url("change", made.pk))
        context = {"title": "New destination", "form": form, "submit": "Make destination", "cancel_url": self.url("changelist")}
        return self.page(request, "admin/taskexport/form.html", context)

    def edit_view(self, request: Any, key: int) -> HttpResponse:
        """The form of a destination that is there."""

        def act(destination: Destination) -> HttpResponse:
            initial = {name: getattr(destination, name) for name in destinations.FIELDS}
            data = request.POST if request.method == "POST" else None
            form = DestinationForm(request.user, data, action=Action.ADMINISTER, row=destination, initial=initial)
            if request.method == "POST" and form.is_valid():
                try:
                    destinations.update(request.user, destination, form.values(), version=form.cleaned_data["version"])
                except AppError as error:
                    form.refuse(error)
                else:
                    messages.success(request, "The destination is saved.")
                    return redirect(self.url("change", destination.pk))
            back = self.url("change", destination.pk)
            said = {"title": f"Edit {destination.name}", "here": "Edit", "cancel_url": back, "parent": destination.name, "parent_url": back}
            return self.page(request, "admin/taskexport/form.html", {"form": form, **said})

        return self.of_row(request, key, act)

    def test_view(self, request: Any, key: int) -> HttpResponse:
        """Writes a small object there and deletes it."""

        def act(destination: Destination) -> HttpResponse:
            wrong = destinations.test(request.user, destination)
            if wrong:
                messages.error(request, f"The test failed: {wrong}")
            else:
                messages.success(request, "It works: a small object was written there and deleted again.")
            return redirect(self.url("change", destination.pk))

        return self.of_row(request, key, act, post=True)

    def remove_view(self, request: Any, key: int) -> HttpResponse:
        """Asks once more, and deletes it."""

        def act(destination: Destination) -> HttpResponse:
            if request.method != "POST":
                texts = ("Nothing is copied there any more, and its lines of the delivery log go with it.", "Files that are in the bucket stay.")
                return self.ask(request, destination, "Delete", texts)
            destinations.delete(request.user, destination)
            messages.success(request, f"{destination.name}: deleted.")
            return redirect(self.url("changelist"))

        return self.of_row(request, key, act)
