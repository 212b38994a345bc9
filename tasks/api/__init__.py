"""Signing in, and contract 2, case tasks: `/api/v1/tasks` and what tasks hang on."""

from django.urls import URLPattern

from tasks.api import bulk, related, tasks, tokens

urlpatterns: list[URLPattern] = [
    *tokens.urlpatterns,
    *bulk.urlpatterns,  # ahead of the tasks, whose ids its fixed name would be
    *tasks.urlpatterns,
    *related.urlpatterns,
]
