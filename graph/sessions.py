"""Sessions: generate starts one on a new thread, regenerate goes on with it from the summary."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END
from langgraph.types import Command, StateSnapshot
from redis.asyncio import Redis

from graph.answers import answer, session_view
from graph.build import Graph, start_turn
from graph.failures import as_ours
from graph.runs import Event, Run, Runs
from graph.state import Request
from tools import ledger
from tools.contracts import Language, Profile, Wishes
from tools.errors import ModelOutputError, SubjectNotFoundError
from tools.idempotency import Attempt, IdempotencyKeys
from tools.session_record import SessionRecord, SessionRecords
from tools.settings import Settings

RECURSION_LIMIT = 16
"""Graph steps of one run: six nodes, and room for every repeated proposal."""

Input = Request | Command[str]
"""What a run starts with: a request, or a command, which jumps to the nodes of a new turn or goes on
with the nodes that wait."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of the API key (empty where none are configured), and the request's
    Idempotency-Key, if it has one."""

    owner: str = ""
    idempotency_key: str | None = None


ANYONE = Caller()


class Sessions:
    """Generates and regenerates. Keeps nothing of a session: any worker can go on with any one."""

    def __init__(self, graph: Graph, redis: Redis, settings: Settings) -> None:
        self._graph = graph
        self._settings = settings
        self._records = SessionRecords(redis, settings)
        self._idempotency = IdempotencyKeys(redis, settings)
        self._runs = Runs(settings.run_timeout_seconds)

    def generate(self, profile: Profile, language: Language, caller: Caller = ANYONE) -> AsyncIterator[Event]:
        """Starts a session and yields its progress events; the last is `result` or `error`.

        A `result`'s data is an `Answer`. An `error`'s data is `{"code", "message", "details"}`, with
        the session's id in the details; the session can be asked again. Closing the iterator
        cancels the run and its model calls. With an Idempotency-Key that was used before, what that
        request began is finished, or its answer given again.
        """
        request = Request(profile=profile.model_dump(), language=language)

        async def work(run: Run) -> dict[str, Any]:
            attempt = await self._attempt(run, caller, ["generate", request])
            if attempt is None or attempt.first:
                record = await self._records.create(run.session_id, caller.owner, dict(request))
                async with self._records.locked(run.session_id):
                    done = await self._run(run, record, request)
            else:
                done = attempt.answer or await self._finish_first(run, caller.owner)
            return await self._answered(attempt, done)

        return self._runs.events(uuid.uuid4().hex, work)

    def regenerate(self, session_id: str, wishes: Wishes, caller: Caller = ANYONE) -> AsyncIterator[Event]:
        """Goes on with a session as if `summarize` had just ended, and yields events like `generate`.

        A session whose first run broke off before the summary goes on where it did. An unknown
        session, and somebody else's, ends in an `error` with SessionNotFoundError's code, one that
        is at work in RunInProgressError's, a subject that is not among the candidates in
        SubjectNotFoundError's.
        """

        async def work(run: Run) -> dict[str, Any]:
            await self._records.load(session_id, caller.owner)
            attempt = await self._attempt(run, caller, ["regenerate", session_id, wishes.model_dump()])
            done = attempt.answer if attempt else None
            return await self._answered(attempt, done or await self._turn(run, wishes, caller.owner, attempt))

        return self._runs.events(session_id, work)

    async def view(self, session_id: str, owner: str = ANYONE.owner) -> dict[str, Any]:
        """Returns the session as JSON.

        Raises:
            SessionNotFoundError: it does not exist, has expired, or is somebody else's.
            StoreUnavailableError: Redis does not answer.
        """
        try:
            record = await self._records.load(session_id, owner)
            snapshot = await self._snapshot(session_id)
        except Exception as error:
            raise as_ours(error) from error
        return session_view(session_id, {**record.request, **snapshot.values})

    async def forget(self, session_id: str, owner: str = ANYONE.owner) -> None:
        """Deletes everything of a session at once.

        Raises:
            SessionNotFoundError: as `view`.
            RunInProgressError: a run is at work on it.
            StoreUnavailableError: Redis does not answer.
        """
        try:
            await self._records.forget(session_id, owner)
        except Exception as error:
            raise as_ours(error) from error

    async def aclose(self) -> None:
        """Cancels what still runs and waits, for a bounded time, until it has saved its state."""
        await self._runs.aclose()

    async def _attempt(self, run: Run, caller: Caller, asked: list[Any]) -> Attempt | None:
        if caller.idempotency_key is None:
            return None
        attempt = await self._idempotency.begin(caller.owner, caller.idempotency_key, asked, run.session_id)
        run.session_id = attempt.session_id
        return attempt

    async def _answered(self, attempt: Attempt | None, done: dict[str, Any]) -> dict[str, Any]:
        if attempt is not None and attempt.answer is None:
            await self._idempotency.finish(attempt, done)
        return done

    async def _finish_first(self, run: Run, owner: str) -> dict[str, Any]:
        """Finishes the first run of a session, which broke off, or gives its answer."""
        record = await self._records.load(run.session_id, owner)
        async with self._records.locked(run.session_id):
            snapshot = await self._snapshot(run.session_id)
            if snapshot.values.get("project") and not snapshot.next:
                return self._answer(run, snapshot.values)
            return await self._run(run, record, _resumed(record, snapshot, {}))

    async def _turn(self, run: Run, wishes: Wishes, owner: str, attempt: Attempt | None) -> dict[str, Any]:
        record = await self._records.load(run.session_id, owner)
        async with self._records.locked(run.session_id):
            snapshot = await self._snapshot(run.session_id)
            state = dict(snapshot.values)
            key = attempt.key if attempt else None
            if state.get("summary") and key and state["turn"].get("key") == key and not snapshot.next:
                # The turn had ended, but its worker before it could say so.
                return self._answer(run, state)
            turn = {
                "chosen": _offered(state, wishes.subject_id) if wishes.subject_id else None,
                "difficulty": wishes.difficulty,
                "skills": wishes.skills,
                "feedback": wishes.feedback,
                "key": key,
            }
            if not state.get("summary"):
                return await self._run(run, record, _resumed(record, snapshot, turn))
            if snapshot.next:
                # A turn that failed left its node waiting; it would run beside the new turn's.
                await self._graph.aupdate_state(_config(run.session_id), None, as_node=END)
            # The update travels with the run: a checkpoint of its own would cost a write to Redis
            # and, in the shallow saver, keys that no later turn takes away.
            update = {"turn": turn, "draft": {}}
            goto = start_turn({**state, **update})  # type: ignore[typeddict-item]
            return await self._run(run, record, Command(update=update, goto=goto))

    async def _run(self, run: Run, record: SessionRecord, start: Input) -> dict[str, Any]:
        """Runs the graph to its end. What the model answers is in the ledger until then."""
        ledger.current.set(record)
        state: dict[str, Any] = {}
        try:
            async for part in self._graph.astream(
                start,
                _config(run.session_id),
                stream_mode=["custom", "values"],
                durability="exit",
                version="v2",
            ):
                if part["type"] == "values":
                    state = dict(part["data"])
                elif part["type"] == "custom":
                    event = part["data"]
                    run.say(event["type"], event["data"], event["node"])
        except ModelOutputError:
            # The same answers would fail again: the next try asks anew.
            await self._records.settle(record)
            raise
        await self._records.settle(record)
        return self._answer(run, state)

    def _answer(self, run: Run, state: dict[str, Any]) -> dict[str, Any]:
        return answer(run.session_id, state, offline=self._settings.offline).model_dump()

    async def _snapshot(self, session_id: str) -> StateSnapshot:
        return await self._graph.aget_state(_config(session_id))


def _config(session_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": session_id}, "recursion_limit": RECURSION_LIMIT}


def _resumed(record: SessionRecord, snapshot: StateSnapshot, turn: dict[str, Any]) -> Input:
    """Goes on with what waits. A killed worker left no checkpoint, so there the run begins again; its
    ledger has what was paid for."""
    if not snapshot.values:
        return Request(profile=record.request["profile"], language=record.request["language"])
    return Command(update={"turn": turn})


def _offered(state: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Returns a candidate, or the current subject, which may be built again with other wishes."""
    subjects = state.get("subjects") or {"current": {"id": None}, "candidates": []}
    for subject in (subjects["current"], *subjects["candidates"]):
        if subject["id"] == subject_id:
            return dict(subject)
    raise SubjectNotFoundError(subject_id=subject_id)
