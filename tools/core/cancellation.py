"""Cancellations that Python 3.11 loses."""

from __future__ import annotations

import asyncio


def cancellations() -> int:
    """Returns how often the current task has been cancelled.

    Python 3.11's `asyncio.wait_for`, on which psycopg and redis-py wait, swallows a cancellation that comes
    together with what it waits for: the task goes on, for nobody, and whoever waits for its end waits for
    ever. Where more are counted after the wait than before it, the caller raises it anew.
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
