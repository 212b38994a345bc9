"""The data people keep, and the people themselves."""

from tasks.models.people import AccessToken, IdempotencyKey, Member, Organization, Platform, Role, Session, User
from tasks.models.records import DataRecord, RecordIndex
from tasks.models.tasks import Calendar, Case, CaseService, Flow, Hub, Subject, Task, TaskAssignee, TaskStatus

__all__ = [
    "AccessToken",
    "Calendar",
    "Case",
    "CaseService",
    "DataRecord",
    "Flow",
    "Hub",
    "IdempotencyKey",
    "Member",
    "Organization",
    "Platform",
    "RecordIndex",
    "Role",
    "Session",
    "Subject",
    "Task",
    "TaskAssignee",
    "TaskStatus",
    "User",
]
