"""The JSON shapes of contract 5's tasks."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from exports.api.scheduled_tasks.base import ChainField
from exports.models import MailOn, Missed, Overlap
from taskexport.api.strict import Flag, StrictSerializer, Text

REPEATS = ("", "daily", "weekly", "monthly")
FORMATS = ("csv", "json", "xlsx", "ndjson")
# export_index: (dataset, what its files are called)
INDEXES: dict[str, tuple[str, str]] = {
    "transactions": ("transactions", "Transaction_Export"),
    "users": ("users", "User_Export"),
    "vouchers": ("vouchers", "Voucher_Export"),
    "wallet-ledger": ("wallet-ledger", "Wallet_Export"),
    "products": ("products", "Product_Export"),
    "product-variants": ("product-variants", "Product_Variant_Export"),
    "tasks": ("tasks", "Task_Export"),
}


class Choice(Text):
    """One of a few words; the refusal names them."""

    def __init__(self, words: tuple[str, ...], **options: Any) -> None:
        self.words = words
        super().__init__(**{"max_length": 40, "help_text": f"One of: {', '.join(word or '(empty)' for word in words)}.", **options})

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if text not in self.words:
            raise serializers.ValidationError(f"Write one of: {', '.join(map(repr, self.words))}.", code="invalid")
        return text


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "integer"}]})
class SegmentIdField(serializers.Field):
    """A saved segment's id, as text or as a number."""

    def to_internal_value(self, data: Any) -> str:
        text = str(data) if type(data) is int or isinstance(data, str) else ""
        if not 1 <= len(text) <= 40:
            raise serializers.ValidationError("Write a saved segment's id.", code="invalid")
        return text

    def to_representation(self, value: Any) -> str:
        return str(value)


class ScheduledTriggerWish(StrictSerializer):
    """When it runs, and over which records."""

    once = Text(max_length=40, required=False, help_text="ISO 8601; without a zone in `timezone`. Needed unless there is a cron.")
    repeat = Choice(REPEATS, required=False, allow_blank=True, allow_null=True)
    segment = serializers.DictField(required=False, allow_null=True, help_text="Rules of its own; see docs/scheduled-tasks.md.")
    segment_id = SegmentIdField(required=False, allow_null=True, help_text="A saved segment's id, in place of `segment`.")
    cron = Text(max_length=100, required=False, allow_blank=True, allow_null=True, help_text="Five fields, in place of `repeat`.")
    timezone = Text(max_length=64, required=False, help_text="An IANA zone; the organization's unless said.")
    missed = Choice(tuple(Missed.values), required=False)
    overlap = Choice(tuple(Overlap.values), required=False)


class ScheduledTargetWish(StrictSerializer):
    """What it does."""

    action = Choice(("export",))
    export_index = Choice(tuple(INDEXES))
    export_format = Choice(FORMATS)
    changes_only = Flag(required=False, help_text="Files of what changed since the last delivered one; a PUT without it leaves it as it is.")


class ScheduledDeliveryWish(StrictSerializer):
    """Ours: where its runs go."""

    recipients = serializers.ListField(
        child=Text(max_length=254), max_length=50, required=False, help_text="E-mail addresses of the organization's people, told beside its owner."
    )
    mail_on = Choice(tuple(MailOn.values), required=False)
    attach_small = Flag(required=False, help_text="Mails bring the file along, if it is small.")
    destination = serializers.IntegerField(min_value=1, required=False, allow_null=True, help_text="A destination's id: files are copied there.")


class ScheduledTaskWish(StrictSerializer):
    """A new scheduled task."""

    chain = ChainField()
    desc = Text(max_length=2000, required=False, allow_blank=True)
    trigger = ScheduledTriggerWish()
    target = ScheduledTargetWish()
    delivery = ScheduledDeliveryWish(required=False)


class ScheduledTaskChange(StrictSerializer):
    """All of a scheduled task anew; what only the service sets may stand beside it and is passed over."""

    desc = Text(max_length=2000, required=False, allow_blank=True)
    trigger = ScheduledTriggerWish()
    target = ScheduledTargetWish()
    delivery = ScheduledDeliveryWish(required=False)
    id = serializers.JSONField(required=False, allow_null=True)
    chain = serializers.JSONField(required=False, allow_null=True)
    state = serializers.JSONField(required=False, allow_null=True)
    logs = serializers.JSONField(required=False, allow_null=True)
    debug = serializers.JSONField(required=False, allow_null=True)
    version = serializers.JSONField(required=False, allow_null=True)
    result = serializers.JSONField(required=False, allow_null=True)
    base = serializers.JSONField(required=False, allow_null=True)


class ScheduledState(serializers.Serializer):
    """Where a task is."""

    code = serializers.CharField(help_text="READY, INPROGRESS, DONE or ERROR.")
    last_run_date = serializers.DateTimeField(allow_null=True)
    last_modified = serializers.DateTimeField()
    created_date = serializers.DateTimeField()
    last_outcome = serializers.CharField(allow_null=True, help_text="How the last run ended: done, late, skipped, missed, failed.")
    paused = serializers.CharField(allow_null=True, help_text="Why it runs no more; null while it does.")
    in_words = serializers.CharField(help_text="Which records it exports, as part of a sentence.")


class ScheduledTrigger(serializers.Serializer):
    """When a task runs, and over which records."""

    once = serializers.DateTimeField()
    repeat = serializers.CharField(allow_blank=True)
    segment = serializers.DictField(allow_null=True)
    segment_id = serializers.CharField(allow_null=True)
    cron = serializers.CharField(allow_null=True)
    timezone = serializers.CharField()
    missed = serializers.CharField()
    overlap = serializers.CharField()


class ScheduledTarget(serializers.Serializer):
    """What a task does."""

    action = serializers.CharField()
    export_index = serializers.CharField()
    export_format = serializers.CharField()
    changes_only = serializers.BooleanField()


class ScheduledDelivery(serializers.Serializer):
    """Ours: where its runs go."""

    recipients = serializers.ListField(child=serializers.CharField())
    mail_on = serializers.CharField()
    attach_small = serializers.BooleanField()
    destination = serializers.IntegerField(allow_null=True)


class ScheduledLog(serializers.Serializer):
    """A line of a task's log."""

    msg = serializers.CharField()
    time = serializers.DateTimeField()
    total = serializers.IntegerField(required=False)
    errors = serializers.IntegerField(required=False)  # type: ignore[assignment]
    skips = serializers.IntegerField(required=False)
    success = serializers.IntegerField(required=False)


class ScheduledBase(serializers.Serializer):
    """The delivered run that the next file of changes is compared with."""

    job = serializers.UUIDField()
    snapshot_at = serializers.DateTimeField()
    rows = serializers.IntegerField()


class ScheduledTask(serializers.Serializer):
    """A scheduled task."""

    id = serializers.IntegerField()
    chain = serializers.IntegerField()
    desc = serializers.CharField(allow_blank=True)
    state = ScheduledState()
    trigger = ScheduledTrigger()
    target = ScheduledTarget()
    delivery = ScheduledDelivery()
    logs = ScheduledLog(many=True)
    debug = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField()
    result = serializers.CharField(allow_blank=True)
    base = ScheduledBase(allow_null=True, help_text="Null: the next run has all rows, or the task exports whole files.")


class ScheduledUrl(serializers.Serializer):
    """A link to the last file."""

    url = serializers.CharField()


class ScheduledRun(serializers.Serializer):
    """A coming run."""

    at = serializers.DateTimeField(help_text="In UTC.")
    local = serializers.CharField(help_text="The same in the task's zone, with its offset.")
    change = serializers.CharField(allow_blank=True, help_text="What the clocks do to it; empty where they do nothing.")


class ScheduledRuns(serializers.Serializer):
    """The coming runs."""

    timezone = serializers.CharField()
    runs = ScheduledRun(many=True)


class ScheduledActor(serializers.Serializer):
    """Somebody."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class ScheduledEvent(serializers.Serializer):
    """A line of a task's ledger."""

    kind = serializers.CharField(help_text="created, changed, paused, resumed, taken_over, reset.")
    at = serializers.DateTimeField()
    actor = ScheduledActor(allow_null=True, help_text="Who did it; null: the service itself.")
    detail = serializers.CharField(allow_blank=True)
