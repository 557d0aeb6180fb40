"""Watching a run: its events from any place on, as they come, on any worker.

A reader has no buffer here: it asks Redis for what comes after the last event that it has sent, when it has
sent it. One that is slow is behind, and one that is behind by more than is kept is told of the gap.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from redis.exceptions import RedisError

from graph.sessions.record import events_key
from serve.runs.signals import Signals
from serve.runs.store import ENDED, RunStore, StoredEvent, event_of, number_of
from tools.core.errors import RunNotFoundError
from tools.core.logs import cause

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
"""After so long without an event a sign of life is sent: proxies end a connection that is silent for 30
seconds, or for 60."""
RETRY_MILLISECONDS = 1_000
"""How long a reader should wait before it connects again."""
READ_COUNT = 100
"""Events that are read at a time."""
READING = 16
"""So many readers of a worker ask Redis at a time. A thousand that hear of an event at once, or come again at
once, would take the whole pool, and wait for it longer than anybody may; runs need connections too."""
REDIS_AWAY_SECONDS = 0.5
"""How long after Redis did not answer it is asked again."""
LAST = ("result", "error")


class Watching:
    """The readers of this worker."""

    def __init__(self, store: RunStore, signals: Signals) -> None:
        self._store = store
        self._signals = signals
        self._turns = asyncio.Semaphore(READING)
        self._closing = False

    def close(self) -> None:
        """Has every reader end with `reconnect`: this worker is on its way out."""
        self._closing = True
        self._signals.wake()

    async def watch(
        self, run_id: str, after: str | None = None, *, seconds: float | None = None
    ) -> AsyncGenerator[list[StoredEvent]]:
        """Yields the events of a run after the one with the id `after`, as they come; none, when none has
        come for HEARTBEAT_SECONDS.

        The last is `result` or `error`, or, after `seconds` and when this worker ends, `reconnect`. `gap`
        says that events before the next were dropped.
        """
        until = None if seconds is None else time.monotonic() + seconds
        position = after
        silent_since = time.monotonic()
        away = False
        async with self._signals.news(events_key(run_id)) as news:
            while not self._closing and (until is None or time.monotonic() < until):
                news.clear()
                try:
                    async with self._turns:
                        events, state, newest = await self._store.read(run_id, position, READ_COUNT)
                    away = False
                except (RedisError, OSError) as error:
                    if not away:
                        logger.warning("a run's events cannot be read", extra={"cause": cause(error)})
                    away = True
                else:
                    if state is None:
                        yield [event_of("error", RunNotFoundError().as_json())]
                        return
                    if events:
                        yield _with_gap(events, position)
                        position, silent_since = events[-1].id, time.monotonic()
                        if events[-1].type in LAST and events[-1].number == newest:
                            return
                        continue
                    if state in ENDED:
                        # Of the events after the reader's place none is left.
                        if newest != number_of(position):
                            yield [_gap(position, newest + 1, position)]
                        return
                due = silent_since + HEARTBEAT_SECONDS
                limits = (due, until or due, time.monotonic() + REDIS_AWAY_SECONDS if away else due)
                await _set_by(news, min(limits))
                if time.monotonic() >= due:
                    yield []
                    silent_since = time.monotonic()
        yield [event_of("reconnect")]


async def _set_by(event: asyncio.Event, moment: float) -> None:
    """Waits until the event is set, at most until a moment of `time.monotonic`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(moment - time.monotonic()):
            await event.wait()


def _with_gap(events: list[StoredEvent], position: str | None) -> list[StoredEvent]:
    """Returns the events, with a `gap` wherever their numbers have one."""
    shown: list[StoredEvent] = []
    last = number_of(position)
    for event in events:
        if event.number != last + 1:
            assert event.id is not None  # noqa: S101 - it was read from the stream
            # Who reconnects with the gap's id goes on behind it.
            at = f"{event.id.partition('-')[0]}-{event.number - 1}"
            shown.append(_gap(position, event.number, at))
        shown.append(event)
        last = event.number
    return shown


def _gap(position: str | None, next_number: int, event_id: str | None) -> StoredEvent:
    return event_of("gap", {"after": number_of(position), "next": next_number}, id=event_id)


async def server_sent(watched: AsyncGenerator[list[StoredEvent]]) -> AsyncGenerator[bytes]:
    """Yields what `watch` yields as server-sent events."""
    async with aclosing(watched) as batches:
        yield b"retry: %d\n\n" % RETRY_MILLISECONDS
        async for batch in batches:
            yield b"".join(map(_lines, batch)) or b": heartbeat\n\n"


def _lines(event: StoredEvent) -> bytes:
    id_line = b"" if event.id is None else b"id: %s\n" % event.id.encode()
    return b"%sevent: %s\ndata: %s\n\n" % (id_line, event.type.encode(), event.event)
