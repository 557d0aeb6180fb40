"""Sessions: generate starts one on a new thread, regenerate goes on with it from the summary."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END
from langgraph.types import Command, StateSnapshot

from graph.answers import answer, session_view
from graph.build import Graph, start_turn
from graph.failures import as_ours
from graph.state import Request
from tools.contracts import Language, Profile, Wishes
from tools.errors import CheckerboardError, SessionNotFoundError, SubjectNotFoundError
from tools.settings import Settings

logger = logging.getLogger(__name__)

RECURSION_LIMIT = 16
"""Graph steps of one run: six nodes, and room for every repeated proposal."""
CLOSE_SECONDS = 5.0
"""How long a closing worker waits for its runs to save their state."""
_QUEUE = 64
"""Events a slow listener may lag behind before the run waits for it."""

Input = Request | Command[str] | None
"""What a run starts with: a request, a jump to the nodes of a new turn, or nothing, which goes on
where the last run stopped."""

Event = dict[str, Any]
"""A progress event: `type`, `node`, `elapsed_ms` (milliseconds since the run began), `data`."""


class Sessions:
    """Runs the graph on threads. Keeps nothing but its running tasks: any worker can go on with any
    session."""

    def __init__(self, graph: Graph, settings: Settings) -> None:
        self._graph = graph
        self._settings = settings
        self._runs: set[asyncio.Task[None]] = set()

    def generate(self, profile: Profile, language: Language) -> AsyncIterator[Event]:
        """Starts a session and yields its progress events; the last is `result` or `error`.

        A `result`'s data is an `Answer`. An `error`'s data is `{"code", "message", "details"}`, with
        the session's id in the details; the session can be asked again. Closing the iterator
        cancels the run and its model calls.
        """
        session_id = uuid.uuid4().hex
        request = Request(profile=profile.model_dump(), language=language)

        async def prepare() -> Request:
            return request

        return self._events(session_id, prepare)

    def regenerate(self, session_id: str, wishes: Wishes) -> AsyncIterator[Event]:
        """Goes on with a session as if `summarize` had just ended, and yields events like `generate`.

        A session whose first run failed before the summary goes on where it failed.
        An unknown session ends in an `error` with SessionNotFoundError's code, a subject that is
        not among the candidates in one with SubjectNotFoundError's.
        """

        async def prepare() -> Command[str] | None:
            config = _config(session_id)
            snapshot = await self._snapshot(session_id)
            state = dict(snapshot.values)
            if not state.get("summary"):
                return None
            turn = {
                "chosen": _candidate(state, wishes.subject_id) if wishes.subject_id else None,
                "difficulty": wishes.difficulty,
                "skills": wishes.skills,
                "feedback": wishes.feedback,
            }
            if snapshot.next:
                # A turn that failed left its node waiting; it would run beside the new turn's.
                await self._graph.aupdate_state(config, None, as_node=END)
            # The update travels with the run: a checkpoint of its own would cost a write to Redis
            # and, in the shallow saver, keys that no later turn takes away.
            update = {"turn": turn, "draft": {}}
            return Command(update=update, goto=start_turn({**state, **update}))  # type: ignore[typeddict-item]

        return self._events(session_id, prepare)

    async def view(self, session_id: str) -> dict[str, Any]:
        """Returns the session as JSON.

        Raises:
            SessionNotFoundError: it does not exist or has expired.
            StoreUnavailableError: Redis does not answer.
        """
        try:
            snapshot = await self._snapshot(session_id)
            return session_view(session_id, dict(snapshot.values))
        except Exception as error:
            raise as_ours(error) from error

    async def aclose(self) -> None:
        """Cancels what still runs and waits until it has saved its state, at most CLOSE_SECONDS."""
        for run in self._runs:
            run.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=CLOSE_SECONDS)

    async def _snapshot(self, session_id: str) -> StateSnapshot:
        snapshot = await self._graph.aget_state(_config(session_id))
        if not snapshot.values:
            raise SessionNotFoundError(session_id=session_id)
        return snapshot

    async def _events(self, session_id: str, prepare: Callable[[], Awaitable[Input]]) -> AsyncIterator[Event]:
        """Runs the graph in a task of its own and yields what it says, so that a listener who is
        slow or leaves never has the time-out's cancellation land in its own code."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_QUEUE)
        run = asyncio.create_task(self._run(session_id, prepare, queue))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            # Not awaited: a listener's framework may cancel this very line again and again, which
            # would break off the run while it saves its state. `aclose` waits for it.
            run.cancel()

    async def _run(
        self,
        session_id: str,
        prepare: Callable[[], Awaitable[Input]],
        queue: asyncio.Queue[Event | None],
    ) -> None:
        began = time.monotonic()

        async def put(event: Event) -> None:
            elapsed = round((time.monotonic() - began) * 1000)
            await queue.put(
                {
                    "type": event["type"],
                    "node": event.get("node"),
                    "elapsed_ms": elapsed,
                    "data": event["data"],
                }
            )

        try:
            async with asyncio.timeout(self._settings.run_timeout_seconds):
                request = await prepare()
                state: dict[str, Any] = {}
                async for part in self._graph.astream(
                    request,
                    _config(session_id),
                    stream_mode=["custom", "values"],
                    durability="exit",
                    version="v2",
                ):
                    if part["type"] == "values":
                        state = dict(part["data"])
                    elif part["type"] == "custom":
                        await put(part["data"])
            result = answer(session_id, state, offline=self._settings.offline)
            await put({"type": "result", "data": result.model_dump()})
        except Exception as error:  # noqa: BLE001 - the one boundary where a run's failure becomes an event
            await put({"type": "error", "data": _failure(session_id, error)})
        await queue.put(None)


def _config(session_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": session_id}, "recursion_limit": RECURSION_LIMIT}


def _candidate(state: dict[str, Any], subject_id: str) -> dict[str, Any]:
    for subject in state.get("subjects", {}).get("candidates", []):
        if subject["id"] == subject_id:
            return dict(subject)
    raise SubjectNotFoundError(subject_id=subject_id)


def _failure(session_id: str, error: Exception) -> dict[str, Any]:
    ours = as_ours(error)
    # An expected refusal is no news to the operator; what nobody foresaw comes with its traceback.
    unforeseen = type(ours) is CheckerboardError
    logger.log(
        logging.ERROR if ours.status >= 500 else logging.INFO,  # noqa: PLR2004 - an HTTP status
        "run failed",
        exc_info=error if unforeseen else None,
        extra={"session_id": session_id, "code": ours.code, "cause": repr(error.__cause__ or error)},
    )
    return {**ours.as_json(), "details": {"session_id": session_id, **ours.details}}
