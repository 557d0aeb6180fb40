"""Sessions: generate starts one on a new thread, regenerate goes on with it from the summary."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from langsmith.utils import tracing_is_enabled
from redis.asyncio import Redis

from graph.build import Graph, start_turn
from graph.errors import to_service_error
from graph.sessions.checkpointer import TurnSaver
from graph.sessions.idempotency import Attempt, IdempotencyKeys
from graph.sessions.record import SessionLock, SessionRecord, SessionRecords
from graph.sessions.runs import Event, Run, Runs
from graph.sessions.views import SERVICE_VERSION, answer, session_view
from graph.state import Request
from tools.core.errors import ModelOutputError, SessionNotFoundError, SubjectNotFoundError
from tools.core.settings import Settings
from tools.llm import journal
from tools.postings.contracts import Language, Profile, Wishes
from tools.prompts import registry as prompts
from tools.prompts.registry import PromptRegistry

RECURSION_LIMIT = 16
"""Graph steps of one run: six nodes, and room for every repeated proposal."""

Input = Request | Command[str]
"""What a run starts with: a request, or a command that jumps to the nodes of a new turn."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of the API key (empty where none are configured), and the request's
    Idempotency-Key, if it has one."""

    owner: str = ""
    idempotency_key: str | None = None


ANYONE = Caller()


class Sessions:
    """Generates and regenerates. Keeps nothing of a session: any worker can go on with any one."""

    def __init__(
        self, graph: Graph, saver: TurnSaver, redis: Redis, settings: Settings, registry: PromptRegistry
    ) -> None:
        """`graph` is compiled with `saver`, over services that answer from `registry`."""
        self._graph = graph
        self._saver = saver
        self._settings = settings
        self._prompts = registry
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
        request = Request(profile=profile.model_dump(), language=language, turn={})

        async def work(run: Run) -> dict[str, Any]:
            attempt = await self._attempt(run, caller, ["generate", request])
            done = attempt.answer if attempt else None
            return await self._answered(attempt, done or await self._first(run, request, caller, attempt))

        return self._runs.events(uuid.uuid4().hex, work)

    def regenerate(self, session_id: str, wishes: Wishes, caller: Caller = ANYONE) -> AsyncIterator[Event]:
        """Goes on with a session as if `summarize` had just ended, and yields events like `generate`.

        A session whose first run broke off has it finished, with these wishes. An unknown
        session, and somebody else's, ends in an `error` with SessionNotFoundError's code, one that
        is at work in RunInProgressError's, a subject that is not among the candidates in
        SubjectNotFoundError's.
        """

        async def work(run: Run) -> dict[str, Any]:
            await self._records.load(session_id, caller.owner)
            run.kept = True
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
            state = await self._state(session_id)
        except Exception as error:
            raise to_service_error(error) from error
        return session_view(session_id, {**record.request, **state})

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
            raise to_service_error(error) from error

    async def aclose(self) -> None:
        """Stops what still runs, each run with WorkerStoppingError as its `error`, and waits for a bounded
        time until it has saved its state. Another worker can go on with each session."""
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

    async def _first(
        self, run: Run, request: Request, caller: Caller, attempt: Attempt | None
    ) -> dict[str, Any]:
        """Runs a session's first turn, or finishes it where an earlier request with the key broke off."""
        try:
            again = attempt is not None and not attempt.first
            record = await self._records.load(run.session_id, caller.owner) if again else None
        except SessionNotFoundError:  # the earlier request did not come so far
            record = None
        record = record or await self._records.create(run.session_id, caller.owner, dict(request))
        run.kept = True
        async with self._records.locked(run.session_id) as hold:
            state = await self._state(run.session_id)
            if state:
                return self._answer(run, state)
            return await self._run(run, record, hold, request)

    async def _turn(self, run: Run, wishes: Wishes, owner: str, attempt: Attempt | None) -> dict[str, Any]:
        async with self._records.locked(run.session_id) as hold:
            # Read under the lock: it may have been forgotten a moment ago.
            record = await self._records.load(run.session_id, owner)
            state = await self._state(run.session_id)
            key = attempt.key if attempt else None
            if key and state and state["turn"].get("key") == key:
                # The turn had ended, but its worker before it could say so.
                return self._answer(run, state)
            turn = {
                "chosen": _offered(state, wishes.subject_id) if wishes.subject_id else None,
                "difficulty": wishes.difficulty,
                "skills": wishes.skills,
                "feedback": wishes.feedback,
                "key": key,
            }
            start: Input
            if state:
                # The update travels with the run, so that there is one checkpoint a turn.
                update = {"turn": turn, "draft": {}}
                start = Command(update=update, goto=start_turn({**state, **update}))  # type: ignore[typeddict-item]
            else:
                # The first run broke off. It begins again; what it was answered is in the ledger.
                start = Request(
                    profile=record.request["profile"], language=record.request["language"], turn=turn
                )
            return await self._run(run, record, hold, start)

    async def _run(self, run: Run, record: SessionRecord, hold: SessionLock, start: Input) -> dict[str, Any]:
        """Runs the graph to its end, and then saves the turn. What the model answers is in the ledger
        until then."""
        journal.current.set(record)
        # To its end the run answers from what is in force now.
        prompts.run_snapshot.set(self._prompts.current)
        unsaved = self._saver.begin()
        state: dict[str, Any] = {}
        try:
            async for part in self._graph.astream(
                start,
                {**_config(run.session_id), "metadata": self._traced(record)},
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
            await self._records.clear_pending(record)
            raise
        await hold.ensure_owned()
        await self._saver.save(unsaved)
        await self._records.clear_pending(record)
        return self._answer(run, state)

    def _traced(self, record: SessionRecord) -> dict[str, Any]:
        """Returns what a trace of the run says of it. Without tracing nothing, because a checkpoint
        would keep it."""
        if not tracing_is_enabled():
            return {}
        current = self._prompts.current
        versions = current.versions(record.request["language"])
        return {"service": SERVICE_VERSION, "prompts": current.version, "prompt_versions": versions}

    def _answer(self, run: Run, state: dict[str, Any]) -> dict[str, Any]:
        return answer(
            run.session_id,
            state,
            offline=self._settings.offline,
            embeddings_offline=self._settings.embeddings_offline,
        ).model_dump()

    async def _state(self, session_id: str) -> dict[str, Any]:
        """Returns the state after the last turn that ended; empty where none has."""
        return dict((await self._graph.aget_state(_config(session_id))).values)


def _config(session_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": session_id}, "recursion_limit": RECURSION_LIMIT}


def _offered(state: dict[str, Any], subject_id: str) -> dict[str, Any]:
    """Returns a candidate, or the current subject, which may be built again with other wishes."""
    subjects = state.get("subjects") or {"current": {"id": None}, "candidates": []}
    for subject in (subjects["current"], *subjects["candidates"]):
        if subject["id"] == subject_id:
            return dict(subject)
    problem = "is not among the session's candidates"
    raise SubjectNotFoundError(subject_id=subject_id, fields=[{"field": "subject_id", "problem": problem}])
