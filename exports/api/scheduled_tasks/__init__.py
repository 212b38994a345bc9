"""Contract 5, scheduled tasks with their segments and records: `/api/services/…`."""

from django.urls import URLPattern

from exports.api.scheduled_tasks import managing, records, segments, tasks

urlpatterns: list[URLPattern] = [*tasks.urlpatterns, *managing.urlpatterns, *segments.urlpatterns, *records.urlpatterns]
