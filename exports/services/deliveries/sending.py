"""Deliveries on their way: a worker of the control cluster sends what is due, several at once, a few to each endpoint.

An endpoint that hangs keeps a thread or two busy for a bounded time, and then rests until the next round; the others do not wait for it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from exports.models import Delivery, DeliveryKind, TickLease
from exports.services.deliveries import copies, hooks, mails, outbox
from exports.services.deliveries.outbox import Undelivered, ring
from taskexport.errors import NotFound
from taskexport.logs import where

log = logging.getLogger(__name__)

THREADS = 8
AT_ONCE = {DeliveryKind.MAIL: 2, DeliveryKind.WEBHOOK: 2, DeliveryKind.COPY: 1}  # to one endpoint
COPIES_AT_ONCE = 2  # of all: they take long
ROUND_SECONDS = 120  # after it nothing is begun, so that a cluster that shall stop can; the tick rings again
LEASE_SECONDS = 60
LOOK_SECONDS = 5.0
_WAYS: dict[str, Callable[[Delivery], int | None]] = {
    DeliveryKind.MAIL: mails.send,
    DeliveryKind.WEBHOOK: hooks.send,
    DeliveryKind.COPY: copies.send,
}
Lane = tuple[str, int | None]


# -- By the tick -----------------------------------------------------------------------------------------------------
def ring_for_waiting() -> int:
    """Rings if something is due and nobody is at it: what a lost ring left, and what is to be tried again."""
    if TickLease.objects.filter(name="deliveries", until_at__gt=Now()).exists() or not outbox.due().exists():
        return 0
    ring()
    return 1


# -- By a worker -----------------------------------------------------------------------------------------------------
def deliver(holder: str) -> int:
    """Sends what is due until nothing is, or the round's time has passed; how many arrived. 0 while another worker is at it."""
    if not _take_lease(holder):
        return 0
    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="delivery") as pool:
            return _round(pool, holder)
    finally:
        TickLease.objects.filter(name="deliveries", holder=holder).update(until_at=Now())


def _round(pool: ThreadPoolExecutor, holder: str) -> int:
    until, arrived = time.monotonic() + ROUND_SECONDS, 0
    going: dict[Future[str], Lane] = {}
    resting: set[Lane] = set()
    while True:
        while len(going) < THREADS and time.monotonic() < until:
            delivery = outbox.claim(_shut(going, resting))
            if delivery is None:
                break
            going[pool.submit(_apart, delivery)] = _lane(delivery)
        if not going:
            return arrived
        for done in wait(going, LOOK_SECONDS, FIRST_COMPLETED).done:
            lane, outcome = going.pop(done), done.result()
            arrived += outcome == "sent"
            if outcome == "endpoint":
                resting.add(lane)
        TickLease.objects.filter(name="deliveries", holder=holder).update(until_at=Now() + timedelta(seconds=LEASE_SECONDS))


def _take_lease(holder: str) -> bool:
    TickLease.objects.get_or_create(name="deliveries", defaults={"until_at": Now()})
    free = TickLease.objects.filter(name="deliveries", until_at__lte=Now())
    return bool(free.update(holder=holder, until_at=Now() + timedelta(seconds=LEASE_SECONDS)))


def _lane(delivery: Delivery) -> Lane:
    return delivery.kind, delivery.webhook_id or delivery.destination_id


def _shut(going: dict[Future[str], Lane], resting: set[Lane]) -> Q:
    """What must not be begun now: endpoints that have enough to do, or that rest."""
    shut = Q(pk=None)
    busy = Counter(going.values())
    for kind, number in resting | {lane for lane, count in busy.items() if count >= AT_ONCE[DeliveryKind(lane[0])]}:
        shut |= {
            DeliveryKind.MAIL: Q(kind=kind),
            DeliveryKind.WEBHOOK: Q(kind=kind, webhook=number),
            DeliveryKind.COPY: Q(kind=kind, destination=number),
        }[DeliveryKind(kind)]
    if sum(count for (kind, _), count in busy.items() if kind == DeliveryKind.COPY) >= COPIES_AT_ONCE:
        shut |= Q(kind=DeliveryKind.COPY)
    return shut


def _apart(delivery: Delivery) -> str:
    """One try in a thread of its own: `sent`, `failed`, or `endpoint` if the whole endpoint is at fault."""
    try:
        return _try(delivery)
    except Exception as error:  # the database's, most likely: the claim lapses, and it is tried again
        log.warning("delivery not recorded", extra={"delivery": str(delivery.pk), "where": where(error)})
        return "endpoint"
    finally:
        connection.close()


def _try(delivery: Delivery) -> str:
    extra: dict[str, Any] = {"delivery": str(delivery.pk), "kind": delivery.kind, "attempts": delivery.attempts}
    extra |= {"job": str(delivery.job_id)} if delivery.job_id else {}
    started = time.monotonic()
    try:
        try:
            status_code = _WAYS[delivery.kind](delivery)
        except Undelivered:
            raise
        except Exception as error:  # whatever it is, the next one is tried too
            log.warning("delivery is broken", extra=extra | {"where": where(error)})
            raise Undelivered(type(error).__name__, is_endpoint=False) from None
    except Undelivered as error:
        is_dead = outbox.record_failed(delivery, time.monotonic() - started, error)
        log.warning("not delivered", extra=extra | {"error": error.said, "dead": is_dead})
        return "endpoint" if error.is_endpoint else "failed"
    outbox.record_sent(delivery, time.monotonic() - started, status_code)
    log.info("delivered", extra=extra)
    return "sent"


def try_now(delivery: Delivery) -> Delivery:
    """One try of a claimed delivery, here and now; the row as it is then. Raises NotFound where it was deleted meanwhile."""
    _try(delivery)
    found = Delivery.objects.select_related("webhook", "destination", "job", "to", "organization").filter(pk=delivery.pk).first()
    if found is None:
        raise NotFound("There is no such delivery any more.")
    return found
