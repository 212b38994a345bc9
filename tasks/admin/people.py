"""Users, platforms, organizations and members."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import QuerySet
from django.http import HttpRequest

from taskexport.staff import OrganizationFilter, may_anywhere, may_in
from tasks import access
from tasks.access import Action
from tasks.admin.base import TenantAdmin, TenantForm
from tasks.models import Member, Organization, Platform, User

LIMITS = ("max_running", "file_days", "rows_a_day", "kept_mb")  # of an organization; nobody sets their own


class _SuperusersOnly:
    """Nobody else sees these screens; an organization's admin makes members, never users."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_superuser(request)

    def _is_superuser(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)


class NewUserForm(AdminUserCreationForm):
    """E-mail, name and password."""

    class Meta:
        model = User
        fields = ("email", "name")


class UserForm(UserChangeForm):
    """Everything but the password itself."""

    class Meta:
        model = User
        fields = ("email", "password", "name", "is_active", "is_staff", "is_superuser")


@admin.register(User)
class UserAdmin(_SuperusersOnly, DjangoUserAdmin):
    """Who signs in."""

    form = UserForm
    add_form = NewUserForm
    list_display = ("email", "name", "is_active", "is_staff", "is_superuser", "is_service")
    list_filter = ("is_active", "is_staff", "is_superuser", "is_service")
    search_fields = ("email", "name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("is_service", "last_login", "created_at")
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("email", "password", "name")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser"), "description": "What a person may do is the role of its members."}),
        ("Kept by the service", {"fields": ("is_service", "last_login", "created_at")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # timelines and downloads name their people: switch a user off in place of deleting


@admin.register(Platform)
class PlatformAdmin(_SuperusersOnly, admin.ModelAdmin):
    """Groups of organizations."""

    list_display = ("name", "created_at")
    search_fields = ("name",)
    ordering = ("name", "pk")
    autocomplete_fields = ("owners",)

    class Media:
        js = ("taskexport/named.js",)


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    """Tenants: their admins name them, superusers make them."""

    list_display = ("name", "slug", "timezone", "platform", "created_at")
    list_select_related = ("platform",)
    search_fields = ("name", "slug")
    ordering = ("name", "pk")
    actions = None  # deleting in bulk would load every task first
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return access.organizations(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_in(request, Action.READ, obj.pk) if obj else may_anywhere(request, Action.READ)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_in(request, Action.ADMINISTER, obj.pk) if obj else may_anywhere(request, Action.ADMINISTER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_in(request, Action.ADMINISTER, None)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not may_in(request, Action.ADMINISTER, None):
            return False
        return obj is None or not (obj.tasks.exists() or obj.export_jobs.exists())

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "slug", "timezone", "platform", *LIMITS, *(("uuid", "created_at") if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("uuid", "created_at", *(() if self.has_add_permission(request) else ("slug", "platform", *LIMITS)))


class MemberForm(TenantForm):
    """A role needs a user."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        user = self.cleaned_data.get("user", self.instance.user)
        if self.cleaned_data.get("role") and user is None:
            self.add_error("role", "Only a member with a user has a role; a superuser links the two.")
        return self.cleaned_data


@admin.register(Member)
class MemberAdmin(TenantAdmin):
    """People of an organization. Only superusers link a user: whose e-mail has one is nobody else's business."""

    form = MemberForm
    write_action = Action.ADMINISTER
    list_display = ("name", "email", "role", "signs_in_as", "organization")
    list_filter = ("role", OrganizationFilter)
    list_select_related = ("organization", "user")
    search_fields = ("name", "email")
    autocomplete_fields = ("user",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if may_in(request, Action.ADMINISTER, None):
            return ("organization", "name", "email", "user", "role")
        return ("organization", "name", "email", *(("signs_in_as", "role") if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "signs_in_as")

    @admin.display(description="signs in as")
    def signs_in_as(self, member: Member) -> str:
        return member.user.email if member.user else ""
