"""Door 3, staff: the screens of tasks, organizations and people."""

from django.contrib import admin
from django.contrib.auth.models import Group

from tasks.admin import people, tasks, tokens

admin.site.unregister(Group)  # rights are roles in organizations, and nothing reads groups

__all__ = ["people", "tasks", "tokens"]
