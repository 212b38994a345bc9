"""Door 1, the queue: what django-q2 calls."""

from __future__ import annotations

from exports.services import jobs, litter, readiness, runner, upkeep
from exports.services.deliveries import sending
from exports.services.imports import running
from exports.services.supervising import worker_name


def run_next() -> None:
    """A doorbell: claims the fairest waiting job and runs it; finds none if somebody else was quicker."""
    claim = jobs.claim(worker_name())
    if claim is None:
        return
    try:
        runner.run(claim)
    finally:
        jobs.ring_if_waiting()


def import_next() -> None:
    """A doorbell: claims the oldest waiting import and runs it; finds none if somebody else was quicker."""
    claim = running.claim()
    if claim is None:
        return
    try:
        running.run(claim)
    finally:
        running.ring_if_waiting()


def deliver() -> int:
    """A doorbell: sends what is to be delivered; none if another worker is at it. How many arrived."""
    return sending.deliver(worker_name())


def echo(cluster: str) -> None:
    """A probe of the way through this cluster's queue. While it waited it was counted as a doorbell, so it is one too."""
    readiness.echo(cluster)
    litter.sweep_spool()  # the tick sees the spool of its own machine alone
    if cluster == jobs.QUEUE:
        jobs.ring_if_waiting()
        running.ring_if_waiting()


def tick() -> dict[str, int]:
    """The minute's chores."""
    return upkeep.tick(worker_name())
