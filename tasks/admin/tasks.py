"""Tasks and what they hang on."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, SEARCH_VAR
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from exports.services import selections
from taskexport.errors import AppError
from taskexport.staff import OrganizationFilter, hand_over, may_anywhere, may_in
from tasks import access, casework
from tasks.access import Action
from tasks.admin.base import ELSEWHERE, TenantAdmin, TenantForm, delete_selected, own_choices
from tasks.assigning import follow_assignees
from tasks.models import Calendar, Case, CaseService, Flow, Hub, Subject, Task, TaskAssignee


@admin.register(Calendar, Case, CaseService, Flow, Hub)
class NamedAdmin(TenantAdmin):
    """Something with a name."""

    list_display = ("name", "organization", "created_at")
    search_fields = ("name",)
    fields = ("organization", "name")


@admin.register(Subject)
class SubjectAdmin(TenantAdmin):
    """Whom or what a case is about."""

    list_display = ("name", "case", "organization", "created_at")
    list_select_related = ("organization", "case")
    search_fields = ("name",)
    fields = ("organization", "case", "name")
    autocomplete_fields = ("case",)


class TaskForm(TenantForm):
    """A task whose subject is of its case."""

    def clean(self) -> dict[str, Any]:
        super().clean()
        case, subject = self.cleaned_data.get("case"), self.cleaned_data.get("subject")
        if subject and not self.has_error("subject") and (case is None or subject.case_id != case.pk):
            self.add_error("subject", "This subject is of another case; choose its case too.")
        return self.cleaned_data


class AssigneeFormSet(BaseInlineFormSet):
    """Assignees are members of the task's organization."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            member = form.cleaned_data.get("member") if form.is_valid() else None
            if member and self.instance.organization_id and member.organization_id != self.instance.organization_id:
                form.add_error("member", ELSEWHERE)
                raise ValidationError(ELSEWHERE)


class AssigneeInline(admin.TabularInline):
    """A task's assignees; who may write the task, may choose them."""

    model = TaskAssignee
    formset = AssigneeFormSet
    fields = ("member", "position")
    autocomplete_fields = ("member",)
    ordering = ("position", "pk")
    extra = 0
    verbose_name = "assignee"
    verbose_name_plural = "assignees: the lowest position leads"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Action.READ, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Action.WRITE, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Action.WRITE, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, Action.WRITE, obj)

    def _may(self, request: HttpRequest, action: Action, task: Task | None) -> bool:
        return may_in(request, action, task.organization_id) if task else may_anywhere(request, action)

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        kwargs["queryset"] = own_choices(db_field, request, Action.WRITE)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class SegmentFilter(admin.SimpleListFilter):
    """By a saved segment, as it is now."""

    title = "segment"
    parameter_name = "segment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return selections.segment_choices(request.user)

    def has_output(self) -> bool:
        return bool(self.lookup_choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return selections.in_segment(queryset, request.user, str(self.value())) if self.value() else queryset


# What of the list's address an export can say too, or need not.
EXPORTED = {"status__exact", OrganizationFilter.parameter_name, SegmentFilter.parameter_name, SEARCH_VAR, ORDER_VAR, ALL_VAR}


@admin.action(description="Export selected tasks", permissions=["run"])
def export(modeladmin: Any, request: Any, queryset: QuerySet[Task]) -> HttpResponse | None:
    """Leads to a new export of the ticked tasks, or of all that the list holds where all of them were."""
    return modeladmin.export_of(request, None if request.POST.get("select_across") == "1" else queryset)


@admin.register(Task)
class TaskAdmin(TenantAdmin):
    """Field work."""

    form = TaskForm
    list_display = ("title", "external_id", "status", "assignee", "due_day", "organization", "made_at")
    list_filter = ("status", OrganizationFilter, SegmentFilter)
    actions = (export, delete_selected)
    list_select_related = ("organization", "assignee")
    search_fields = ("title",)  # see get_search_results
    search_help_text = "Words of the title, or the beginning of the reference"
    ordering = ("-created_at", "-pk")
    autocomplete_fields = ("case", "subject", "calendar", "case_service", "flow", "hub", "completed_by")
    readonly_fields = ("assignee", "created_by", "created_at", "updated_at")
    inlines = (AssigneeInline,)
    fieldsets = (
        (None, {"fields": ("organization", "title", "external_id", "body", "status")}),
        ("Belongs to", {"fields": (("case", "subject"), ("calendar", "case_service"), ("flow", "hub"))}),
        (
            "Times (UTC)",
            {"fields": (("due_at", "due_on"), ("starts_at", "ends_at"), ("alert_at", "alert_sent_at"), ("completed_at", "completed_by"))},
        ),
        ("Recipient", {"fields": (("recipient_name", "recipient_company"), ("recipient_phone", "recipient_email"))}),
        ("Address", {"fields": ("address_1", "address_2", "address_3", ("city", "state", "zip", "country"), ("latitude", "longitude"))}),
        ("Own fields", {"fields": ("attributes",)}),
    )
    kept = ("Kept by the service", {"fields": ("assignee", "created_by", "created_at", "updated_at")})

    # -- Export these ----------------------------------------------------------------------------------------------
    def has_run_permission(self, request: HttpRequest) -> bool:
        """Whether exports are offered; a new one asks again."""
        return may_anywhere(request, Action.RUN)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"may_export": self.has_run_permission(request)} | (extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        return [path("export/", self.admin_site.admin_view(self.export_view), name="tasks_task_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Leads to a new export of what the list of the same address holds."""
        if not self.has_run_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        there = f"{reverse('admin:tasks_task_changelist')}?{request.GET.urlencode()}"
        return self.export_of(request, None) or redirect(there)

    def export_of(self, request: Any, chosen: QuerySet[Task] | None) -> HttpResponse | None:
        """The way to a new export of these tasks (None: of all that the list holds), or None and a message why there is none."""
        try:
            shown = self.get_changelist_instance(request)
            columns = [(str(shown.list_display[number]), way == "desc") for number, way in shown.get_ordering_field_columns().items()]
            order = [({"due_day": "due_on", "made_at": "created_at"}.get(name, name), descending) for name, descending in columns]
            said = shown.filter_params
            if chosen is None and (said.keys() - EXPORTED or any(len(values) > 1 for values in said.values())):
                # A link from elsewhere narrows it down in some other way: then these rows themselves are what is exported.
                chosen = shown.queryset
            if chosen is None:
                found = selections.of_list(
                    request.user,
                    self._organization(request, shown.params),
                    status=shown.params.get("status__exact", ""),
                    words=shown.query.strip(),
                    segment_id=shown.params.get("segment", ""),
                    order=order,
                )
            else:
                found = selections.of_tasks(request.user, chosen, order)
        except IncorrectLookupParameters:
            return None
        except AppError as error:
            messages.error(request, error.message)
            return None
        return HttpResponseRedirect(hand_over(request, found))

    def _organization(self, request: HttpRequest, params: dict[str, Any]) -> int | None:
        """The one organization that the list is of; None where it is of several."""
        seen = access.organization_ids(request.user)
        wanted = str(params.get("of", ""))
        return next((pk for pk in seen if str(pk) == wanted), None) if wanted else seen[0] if len(seen) == 1 else None

    # -- Fields ----------------------------------------------------------------------------------------------------
    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*self.fieldsets, self.kept) if obj else self.fieldsets

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(Q(title__icontains=term) | Q(external_id__startswith=term)) if term else queryset), False

    @admin.display(description="due on", ordering="due_on")
    def due_day(self, task: Task) -> str:
        return f"{task.due_on:%Y-%m-%d}" if task.due_on else ""

    @admin.display(description="created (UTC)", ordering="created_at")
    def made_at(self, task: Task) -> str:
        return f"{task.created_at:%Y-%m-%d %H:%M}"

    def save_model(self, request: Any, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user
        if "status" in form.changed_data:
            casework.follow_status(obj, casework.member_of(request.user, obj.organization_id))
        super().save_model(request, obj, form, change)

    def save_related(self, request: Any, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        follow_assignees(form.instance)
