"""What the screens of every tenant's rows have in common: seen, chosen and written by role in the row's organization."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import actions
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import DateTimeField, ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse

from taskexport.staff import LongPaginator, OrganizationFilter, may_anywhere, may_in, sees_many
from tasks import access
from tasks.access import Action
from tasks.models import Organization

MOST_DELETED = 500  # rows at once; a form that names more is refused for its length
ELSEWHERE = "This belongs to another organization."


class TenantForm(forms.ModelForm):
    """Takes rows of the same organization only."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        organization = self.cleaned_data.get("organization")
        organization_id = organization.pk if organization else self.instance.organization_id
        for name, value in list(self.cleaned_data.items()):
            if organization_id and isinstance(value, Model) and getattr(value, "organization_id", organization_id) != organization_id:
                self.add_error(name, ELSEWHERE)
        return self.cleaned_data

    def _get_validation_exclusions(self) -> set[str]:
        # The organization of an existing row is no field of the form, yet names are unique within it.
        return super()._get_validation_exclusions() - {"organization"}  # type: ignore[misc]


def own_choices(field: ForeignKey[Any, Any], request: HttpRequest, action: Action) -> QuerySet[Any] | None:
    """The rows a foreign key may be set to by this user; None where no organization limits them."""
    related: Any = field.related_model
    if related is Organization:
        return access.organizations(request.user, action)
    if any(other.name == "organization" for other in related._meta.fields):
        return access.visible_to(related._default_manager.all(), request.user, action)
    return None


class NamedDateTime(AdminSplitDateTime):
    """A day and a time, each with a name for those who hear the page; the field's own name is their legend."""

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(attrs)
        for widget, name in zip(self.widgets, ("Date", "Time"), strict=True):
            widget.attrs["aria-label"] = name


@admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
def delete_selected(modeladmin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
    """Django's own, of rows that one page can name: it asks once more with all that goes along."""
    if queryset.order_by().values("pk")[: MOST_DELETED + 1].count() > MOST_DELETED:
        messages.error(request, f"Delete at most {MOST_DELETED} {modeladmin.opts.verbose_name_plural} at once; nothing was deleted.")
        return None
    return actions.delete_selected(modeladmin, request, queryset)


class TenantAdmin(admin.ModelAdmin):
    """Rows with an `organization`: another one's rows do not exist here, and each action asks the role in the row's own."""

    form = TenantForm
    read_action = Action.READ
    write_action = Action.WRITE
    delete_action = Action.ADMINISTER
    list_filter: ClassVar[Any] = (OrganizationFilter,)
    list_select_related: ClassVar[Any] = ("organization",)
    list_per_page = 50
    actions: Any = (delete_selected,)
    paginator = LongPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # counting each filter reads the whole table
    formfield_overrides: ClassVar[Any] = {DateTimeField: {"form_class": forms.SplitDateTimeField, "widget": NamedDateTime}}

    class Media:
        js = ("taskexport/named.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access.listed_for(super().get_queryset(request), request.user, self.read_action)

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        return shown if sees_many(request) else tuple(name for name in shown if name != "organization")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.read_action, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_anywhere(request, self.write_action)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.write_action, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.delete_action, obj)

    def _may(self, request: HttpRequest, action: Action, obj: Any) -> bool:
        return may_anywhere(request, action) if obj is None else may_in(request, action, obj.organization_id)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # A row never moves: what it points to would stay behind.
        return (*super().get_readonly_fields(request, obj), *(("organization",) if obj else ()))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        only = list(access.organizations(request.user, self.write_action).values_list("pk", flat=True)[:2])
        return ({"organization": only[0]} if len(only) == 1 else {}) | super().get_changeform_initial_data(request)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        choices = own_choices(db_field, request, self.write_action)
        if choices is not None:
            kwargs["queryset"] = choices
        return super().formfield_for_foreignkey(db_field, request, **kwargs)
