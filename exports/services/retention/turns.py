"""Chores that are not done each minute: whose turn it is, and where one that was interrupted goes on."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from exports.models import TickLease

CURSOR_CHARS = 200


def take_turn(name: str, every_seconds: int) -> str | None:
    """Where to go on ("" at the beginning) if it is time; the next time is so many seconds away. None: not yet."""
    TickLease.objects.get_or_create(name=name, defaults={"until_at": Now()})
    cursor = TickLease.objects.filter(name=name).values_list("holder", flat=True).get()
    due = TickLease.objects.filter(name=name, until_at__lte=Now())
    return cursor if due.update(until_at=Now() + timedelta(seconds=every_seconds), holder="") else None


def yield_turn(name: str, cursor: str = "") -> None:
    """Not done yet: the next tick goes on from there."""
    TickLease.objects.filter(name=name).update(until_at=Now(), holder=cursor[:CURSOR_CHARS])
