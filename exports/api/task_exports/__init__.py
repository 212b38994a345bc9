"""Contract 4, task exports: `/api/v3`. A vocabulary over export jobs, their files and saved configs."""

from __future__ import annotations

from django.urls import URLPattern

from exports.api.task_exports.configs import ConfigCreateView, ConfigListView, ConfigView
from exports.api.task_exports.export import ExportView
from exports.api.task_exports.lists import FlowListView, HubListView, TaskListView
from exports.api.task_exports.log import LogView
from taskexport.api.views import route

urlpatterns: list[URLPattern] = [
    *route("v3/tasks/export", ExportView.as_view(), "task-export"),
    *route("v3/tasks/export-log", LogView.as_view(), "task-export-log"),
    *route("v3/tasks", TaskListView.as_view(), "task-export-tasks"),
    *route("v3/flows", FlowListView.as_view(), "task-export-flows"),
    *route("v3/hubs", HubListView.as_view(), "task-export-hubs"),
    *route("v3/export-configs", ConfigListView.as_view(), "task-export-configs"),
    *route("v3/export-config", ConfigCreateView.as_view(), "task-export-config-create"),
    *route("v3/export-config/<str:config_id>", ConfigView.as_view(), "task-export-config"),
]
