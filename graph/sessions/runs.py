"""Runs: work in a task of its own, whose progress is a stream of events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from graph.errors import to_service_error
from tools.core import errors
from tools.core.errors import InternalError, WorkerStoppingError
from tools.core.logs import cause

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""How long a worker waits for runs that it has stopped to save their state."""

Event = dict[str, Any]
"""A progress event: `type`, `node`, `elapsed_ms` (milliseconds since the run began), `data`."""


@dataclass(slots=True)
class Run:
    """One run: the session it works on, and what it has said and nobody has heard yet."""

    session_id: str
    kept: bool = False
    """Whether the session exists, so that it can be asked again."""
    began: float = field(default_factory=time.monotonic)
    said: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)

    def say(self, kind: str, data: Any, node: str | None = None) -> None:
        """Adds an event. A run says some forty things, so a listener who is slow delays nobody."""
        elapsed = round((time.monotonic() - self.began) * 1000)
        if kind == "node_started":
            # Said first, so that a client who loses the stream can ask the session again.
            data = {"session_id": self.session_id}
        self.said.put_nowait({"type": kind, "node": node, "elapsed_ms": elapsed, "data": data})


Work = Callable[[Run], Awaitable[dict[str, Any]]]
"""What a run does; returns the answer."""


async def outcome(events: AsyncIterator[Event]) -> dict[str, Any]:
    """Listens to a run to its end and returns its answer.

    Raises:
        CheckerboardError: as the run's `error` event says.
    """
    event: Event = {}
    async for event in events:  # noqa: B007 - the last one is the outcome
        pass
    if event["type"] == "error":
        raise errors.from_json(event["data"])
    return dict(event["data"])


class Runs:
    """Starts runs and, at the end of the worker, stops those that are left."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def events(self, session_id: str, work: Work) -> AsyncIterator[Event]:
        """Does `work` and yields its events; the last is `result` or `error`.

        Closing the iterator cancels the work. It has a task of its own, so that the time-out's
        cancellation never lands in the listener's code.
        """
        run = Run(session_id)
        task = asyncio.create_task(self._do(run, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while (event := await run.said.get()) is not None:
                yield event
        finally:
            # Not awaited: a listener's framework may cancel this very line again and again, which
            # would break off the run while it saves its state. `aclose` waits for it.
            task.cancel()

    async def aclose(self) -> None:
        """Stops what still runs, with WorkerStoppingError as its `error` event, and waits until it has
        saved its state, at most CLOSE_SECONDS."""
        self._stopping = True
        await asyncio.sleep(0)  # what was begun a moment ago takes its first step: else it could say nothing
        deadline = time.monotonic() + CLOSE_SECONDS
        # Twice, because Python 3.11 may swallow a cancellation that meets the end of a command to Redis.
        for share in (2, 1):
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=(deadline - time.monotonic()) / share)

    async def _do(self, run: Run, work: Work) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                run.say("result", await work(run))
        except asyncio.CancelledError:
            # The other reason is a listener that has left, and hears no more.
            if self._stopping:
                run.say("error", _failure(run, WorkerStoppingError()))
            raise
        except Exception as error:  # noqa: BLE001 - the one boundary where a run's failure becomes an event
            run.say("error", _failure(run, error))
        finally:
            run.said.put_nowait(None)


def _failure(run: Run, error: Exception) -> dict[str, Any]:
    ours = to_service_error(error)
    # An expected refusal is no news to the operator, nor is a stop of his; what nobody foresaw comes with its
    # traceback.
    unforeseen = isinstance(ours, InternalError)
    news = ours.http_status >= 500 and not isinstance(ours, WorkerStoppingError)  # noqa: PLR2004 - an HTTP status
    logger.log(
        logging.ERROR if news else logging.INFO,
        "run failed",
        exc_info=error if unforeseen else None,
        extra={"session_id": run.session_id, "code": ours.code, "cause": cause(error)},
    )
    details = {"session_id": run.session_id, **ours.details} if run.kept else ours.details
    return {**ours.as_json(), "details": details}
