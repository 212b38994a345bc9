"""`Idempotency-Key`: the same call with the same key does its work once, and gives the first answer again for 24 hours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from taskexport.errors import Conflict, Invalid, Unprocessable
from tasks.models import IdempotencyKey, User

KEEP_SECONDS = 24 * 3600
KEY_LENGTH = 255


@dataclass(frozen=True)
class Answer:
    """A response that can be kept: status, JSON body, headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What makes two calls the same."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()


def once(user: User, key: str | None, call: str, make: Callable[[], Answer]) -> Answer:
    """`make()`'s answer, kept with the rows it made in one transaction; or the kept one, if the caller used this key before.

    A second call at the same time waits for the first one's commit. Raises Invalid for a malformed key, Unprocessable
    for a key that was used with another call; an error of `make` keeps nothing.
    """
    if key is None:
        return make()
    key = key.strip().strip('"')
    if not 0 < len(key) <= KEY_LENGTH or not key.isprintable():
        raise Invalid.field("Idempotency-Key", f"Write 1 to {KEY_LENGTH} printable characters, such as a UUID.")
    with transaction.atomic():
        mine = IdempotencyKey.objects.filter(user=user, key=key)
        mine.filter(created_at__lt=Now() - timedelta(seconds=KEEP_SECONDS)).delete()
        kept, is_new = mine.get_or_create(defaults={"user": user, "key": key, "fingerprint": call})
        if is_new:
            answer = make()
            mine.update(status=answer.status, body=answer.body, headers=answer.headers)
            return answer
    if kept.fingerprint != call:
        raise Unprocessable("This Idempotency-Key was used with another request; take a new key.", code="idempotency_key_reused")
    if kept.status is None:
        raise Conflict("The first call with this Idempotency-Key is still running.", code="idempotency_in_flight")
    return Answer(kept.status, kept.body or {}, kept.headers | {"Idempotent-Replayed": "true"})


def forget() -> int:
    """Deletes answers older than 24 hours; how many."""
    return IdempotencyKey.objects.filter(created_at__lt=Now() - timedelta(seconds=KEEP_SECONDS)).delete()[0]
