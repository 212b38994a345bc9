"""Door 3, staff: the screens of export jobs."""

from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

from exports.admin import deliveries, jobs, operations, saved, schedules

# Its schedule screen runs any callable that somebody types in, and its results are pickles. The app stands before this one.
admin.site.unregister([Schedule, OrmQ, Success, Failure])

__all__ = ["deliveries", "jobs", "operations", "saved", "schedules"]
