"""Seats for calls that wait for somebody else's answer: each keeps a thread of the web server, and most threads are for calls that are
answered at once, of all organizations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 3  # of a process, which has 8 threads

_seats = threading.BoundedSemaphore(MOST)


@contextmanager
def taken() -> Iterator[bool]:
    """Whether there was a free seat, which is the caller's until the end."""
    found = _seats.acquire(blocking=False)
    try:
        yield found
    finally:
        if found:
            _seats.release()
