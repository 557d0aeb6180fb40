"""A client of the service for Python: starts runs, follows their events however often they are cut off.

```python
async with Client("http://localhost:8000") as client:
    run = await client.generate(Profile(desired_job="Backend developer"), "en")
    async for event in client.events(run.run_id):
        print(event.type, event.node)
    answer = await client.answer(run.run_id)
```

What fails raises the error that the service named, a `ServiceError` (`tools/core/errors.py`), or
`NoAnswerError` where the service could not be reached.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from graph.sessions.views import SessionView
from serve.kept_routes import Kept
from serve.runs.events import HEARTBEAT_SECONDS, LAST
from serve.runs.models import BackgroundRun, FinishedRun, SessionRuns
from tools.core.contracts import Answer, Language, Profile, Wishes
from tools.core.errors import CheckerboardError, ServiceError, from_json
from tools.core.logs import cause

logger = logging.getLogger(__name__)

TRIES = 8
"""How often in a row the service is asked in vain."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
"""A pause is twice the one before it: eight tries bridge a minute, in which a service is restarted."""
TIMEOUT = httpx.Timeout(10.0)
STREAM_TIMEOUT = httpx.Timeout(10.0, read=2.5 * HEARTBEAT_SECONDS)
"""A stream without a heartbeat for so long is half open: nobody is at its other end any more."""
PASSING_STATUSES = frozenset({502, 503, 504})
"""Of a proxy that does not reach the service."""
PASSING_CODES = frozenset({"overloaded", "worker_stopping", "store_unavailable"})
"""Of the service, which may answer in a moment."""


@dataclass(eq=False, repr=False, kw_only=True)
class NoAnswerError(CheckerboardError):
    """The service could not be reached, or what answered is not the service. Look whether it runs, and at its
    address."""

    code = "no_answer"
    status: int | None = None
    """The HTTP status that came, if any."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event of a run. `id` is its place, None where it has none of its own; `data` is what its type says
    (docs/api.md)."""

    id: str | None
    type: str
    node: str | None
    elapsed_ms: int
    data: Any


class Client:
    """The service over HTTP. Used as a context manager; any number of tasks may share one."""

    def __init__(self, base_url: str, key: str | None = None) -> None:
        """`base_url` is the service's address, `key` an API key where it wants one."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=TIMEOUT)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def generate(
        self, profile: Profile, language: Language = "ko", *, idempotency_key: str | None = None
    ) -> FinishedRun:
        """Starts a generation in the background; started once, however often the connection breaks.

        Raises:
            ServiceError: it is refused.
            NoAnswerError: the service cannot be reached.
        """
        given = {"profile": profile.model_dump(mode="json", exclude_defaults=True), "language": language}
        return await self._start("generate", given, idempotency_key)

    async def regenerate(
        self, session_id: str, wishes: Wishes | None = None, *, idempotency_key: str | None = None
    ) -> FinishedRun:
        """Starts another project of a session in the background, as `generate`."""
        given = (wishes or Wishes()).model_dump(mode="json", exclude_defaults=True)
        return await self._start("regenerate", {"session_id": session_id, **given}, idempotency_key)

    async def run(self, run_id: str) -> FinishedRun:
        """Returns a run: its state, and its answer once it has succeeded.

        Raises:
            RunNotFoundError: it does not exist, has expired, or is somebody else's.
        """
        return FinishedRun.model_validate(await self._ask("GET", f"/runs/{run_id}"))

    async def runs(self, session_id: str) -> list[BackgroundRun]:
        """Returns the runs of a session, newest first."""
        found = await self._ask("GET", "/runs", params={"session_id": session_id})
        return SessionRuns.model_validate(found).runs

    async def cancel(self, run_id: str) -> FinishedRun:
        """Cancels a run; one that has ended stays as it was."""
        return FinishedRun.model_validate(await self._ask("DELETE", f"/runs/{run_id}"))

    async def resume(self, run_id: str) -> FinishedRun:
        """Goes on with a run that failed or was cancelled; any other stays as it is."""
        return FinishedRun.model_validate(await self._ask("POST", f"/runs/{run_id}/resume"))

    async def events(self, run_id: str, after: str | None = None) -> AsyncGenerator[RunEvent]:
        """Yields the events of a run, each once and in order; the last is `result` or `error`.

        A connection that breaks off, or that the service ends, is followed by the next, from the last event
        on. `gap` says that the service had dropped events before the next one.

        Args:
            run_id: the run.
            after: the id of an event; only what comes after it.

        Raises:
            ServiceError: the run cannot be watched.
            NoAnswerError: the service cannot be reached any more.
        """
        failed = 0
        while True:
            try:
                async with aclosing(self._connection(run_id, after)) as events:
                    async for event in events:
                        if event.type == "reconnect":
                            break
                        if event.id is not None:
                            after, failed = event.id, 0
                        yield event
                    else:
                        return
                # Those who are sent away together do not all come again together.
                await asyncio.sleep(random.uniform(0, FIRST_PAUSE_SECONDS))  # noqa: S311 - no secret
            except (httpx.TransportError, NoAnswerError, ServiceError) as error:
                failed += 1
                await _pause_or_raise(error, failed)

    async def answer(self, run_id: str) -> Answer:
        """Waits for the end of a run; returns its answer.

        Raises:
            ServiceError: the run failed, or was cancelled.
            NoAnswerError: the service cannot be reached any more.
        """
        last = None
        async for event in self.events(run_id):
            last = event
        if last is None or last.type not in LAST:
            raise NoAnswerError
        if last.type == "error":
            raise from_json(last.data)
        return Answer.model_validate(last.data)

    async def session(self, session_id: str) -> SessionView:
        """Returns a session.

        Raises:
            SessionNotFoundError: it does not exist, has expired, or is somebody else's.
        """
        return SessionView.model_validate(await self._ask("GET", f"/sessions/{session_id}"))

    async def forget(self, session_id: str) -> None:
        """Deletes everything of a session.

        Raises:
            SessionNotFoundError: as `session`.
            RunInProgressError: a run is at work on it.
        """
        await self._ask("DELETE", f"/sessions/{session_id}")

    async def keep(self, session_id: str, project: int | None = None) -> Kept:
        """Keeps a project of a session beyond the session's life; the newest, or one by its place in the
        session's history.

        Raises:
            SessionNotFoundError: as `session`.
            ProjectNotFoundError: the session has no such project.
        """
        asked = {"session_id": session_id, "project": project}
        return Kept.model_validate(await self._ask("POST", "/kept", json=asked))

    async def _start(self, kind: str, given: Mapping[str, Any], key: str | None) -> FinishedRun:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        asked = {"kind": kind, "input": given}
        return FinishedRun.model_validate(await self._ask("POST", "/runs", json=asked, headers=headers))

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        """Returns what the service answers, asked again while it cannot answer: nothing is done twice by
        that."""
        failed = 0
        while True:
            try:
                response = await self._http.request(method, path, **request)
                if response.is_success:
                    return orjson.loads(response.content) if response.content else None
                raise _error_of(response)
            except (httpx.TransportError, NoAnswerError, ServiceError) as error:
                failed += 1
                await _pause_or_raise(error, failed)

    async def _connection(self, run_id: str, after: str | None) -> AsyncGenerator[RunEvent]:
        """Yields what one connection brings; ends where nothing more is to come.

        Raises:
            httpx.TransportError: it broke off.
            ServiceError, NoAnswerError: as `_error_of`; or it ended, and the run has not.
        """
        headers = {"Last-Event-ID": after} if after else {}
        url = f"/runs/{run_id}/events"
        async with self._http.stream("GET", url, headers=headers, timeout=STREAM_TIMEOUT) as response:
            if not response.is_success:
                await response.aread()
                raise _error_of(response)
            # A run that was resumed goes on after an `error`.
            ended = response.status_code == HTTPStatus.NO_CONTENT
            async for event in _server_sent(response.aiter_lines()):
                ended = event.type in LAST
                yield event
            if not ended:
                raise NoAnswerError(status=HTTPStatus.BAD_GATEWAY)


async def _server_sent(lines: AsyncIterator[str]) -> AsyncIterator[RunEvent]:
    """Yields the run's events of a stream of server-sent events, each of which has its data on one line."""
    event_id = None
    async for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            event_id = value
        elif name == "data":
            told = orjson.loads(value)
            yield RunEvent(event_id, told["type"], told["node"], told["elapsed_ms"], told["data"])
            event_id = None


def _error_of(response: httpx.Response) -> ServiceError | NoAnswerError:
    """Returns the error that an answer describes; a proxy's own page is none."""
    try:
        return from_json(orjson.loads(response.content)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return NoAnswerError(status=response.status_code)


async def _pause_or_raise(error: Exception, failed: int) -> None:
    """Waits before the next try, the longer the more have failed; raises the error when none is of use."""
    pause = min(FIRST_PAUSE_SECONDS * 2 ** (failed - 1), LONGEST_PAUSE_SECONDS)
    match error:
        case ServiceError():
            passes = error.code in PASSING_CODES
            pause = max(pause, error.retry_after_seconds or 0)
        case NoAnswerError():
            passes = error.status in PASSING_STATUSES
        case _:
            passes = True
    if passes and failed < TRIES:
        logger.info("the service is asked again", extra={"failed": failed, "cause": cause(error)})
        await asyncio.sleep(pause)
        return
    if isinstance(error, httpx.TransportError):
        raise NoAnswerError from error
    raise error
