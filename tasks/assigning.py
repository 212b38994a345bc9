"""Who is at work on a task, and who leads."""

from __future__ import annotations

from tasks.models import Task


def follow_assignees(task: Task) -> None:
    """Makes the first of the task's assignees its lead, or nobody where there is none."""
    task.assignee_id = task.assignments.order_by("position", "pk").values_list("member", flat=True).first()
    Task.objects.filter(pk=task.pk).update(assignee=task.assignee_id)
