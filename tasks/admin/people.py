"""Users, platforms, organizations and members."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from taskexport.staff import OrganizationFilter, may_anywhere, may_in
from tasks import access
from tasks.access import Action
from tasks.admin.base import TenantAdmin, TenantForm
from tasks.models import Member, Organization, Platform, User
from tasks.models.fields import zones

LIMITS = ("max_running", "file_days", "rows_a_day", "kept_mb")  # of an organization; nobody sets their own
ROLES = "Viewers look and download; editors also write tasks and make exports; admins also change what others made, schedules and tokens."


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


class OrganizationForm(forms.ModelForm):
    """The time zone is chosen, not typed; one that was kept under another name stays to be chosen."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "timezone" in self.fields:
            names = sorted(zones() | ({self.instance.timezone} if self.instance.timezone else set()))
            self.fields["timezone"] = forms.ChoiceField(
                label="Time zone",
                choices=[(name, name) for name in names],
                initial="UTC",
                help_text="Of new exports and schedules, unless they say another.",
            )


@admin.register(Organization)
class OrganizationAdmin(admin.ModelAdmin):
    """Tenants: their admins name them, superusers make them."""

    form = OrganizationForm
    list_display = ("name", "slug", "timezone", "platform", "made_at")
    list_select_related = ("platform",)
    search_fields = ("name", "slug")
    search_help_text = "A part of the name or the slug"
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

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Organizations"} | (extra_context or {}))

    @admin.display(description="made (UTC)", ordering="created_at")
    def made_at(self, organization: Organization) -> str:
        return f"{organization.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="UUID")
    def uuid_text(self, organization: Organization) -> str:
        return str(organization.uuid)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        limits = "What its exports may use." if self.has_add_permission(request) else "What its exports may use; whoever runs this service sets it."
        kept = (("Kept by the service", {"fields": ("uuid_text", "made_at")}),) if obj else ()
        return ((None, {"fields": ("name", "slug", "timezone", "platform")}), ("Limits", {"fields": LIMITS, "description": limits}), *kept)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("uuid_text", "made_at", *(() if self.has_add_permission(request) else ("slug", "platform", *LIMITS)))


class MemberForm(TenantForm):
    """A role needs a user."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "role" in self.fields:
            self.fields["role"].help_text = ROLES

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
    search_help_text = "A part of the name or the e-mail"
    autocomplete_fields = ("user",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if may_in(request, Action.ADMINISTER, None):
            return ("organization", "name", "email", "user", "role")
        return ("organization", "name", "email", *(("signs_in_as", "role") if obj else ()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "signs_in_as")

    @admin.display(description="signs in as")
    def signs_in_as(self, member: Member) -> str:
        if member.user is None:
            return "does not sign in"
        return "access tokens alone" if member.user.is_service else member.user.email
