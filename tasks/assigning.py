"""Who is at work on a task, and who leads."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.models import Task, TaskAssignee


def follow_assignees(task: Task) -> None:
    """Makes the first of the task's assignees its lead, or nobody where there is none."""
    task.assignee_id = task.assignments.order_by("position", "pk").values_list("member", flat=True).first()
    Task.objects.filter(pk=task.pk).update(assignee=task.assignee_id)


def assign(task: Task, members: Sequence[int]) -> None:
    """Gives the task these members in place of those it has; the first leads. The task itself is not saved."""
    task.assignments.all().delete()
    TaskAssignee.objects.bulk_create(TaskAssignee(task=task, member_id=pk, position=position) for position, pk in enumerate(members))
    task.assignee_id = next(iter(members), None)
