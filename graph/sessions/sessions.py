"""Sessions: generate starts one on a new thread, regenerate goes on with it from the summary.

Either is a run: a task of its own, whose progress is a stream of events.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command
from langsmith.utils import tracing_is_enabled
from structlog.contextvars import bind_contextvars, get_contextvars

from graph.build import build_graph, start_turn
from graph.errors import run_limit, to_service_error
from graph.sessions.checkpointer import PendingTurn, TurnSaver
from graph.sessions.lease import SessionLock, WorkerLease
from graph.sessions.record import Attempt, IdempotencyKeys, SessionRecord, SessionRecords
from graph.sessions.views import SERVICE_VERSION, answer, session_view, view_of_guest
from graph.state import Request, State
from nodes import build_query, filter_jobs, generate_tasks, propose_subjects, retrieve, summarize
from nodes.state import SubjectDict, Turn, profile_dict
from tools.context import RunContext
from tools.core import metrics, spans
from tools.core.contracts import Language, Profile, Wishes
from tools.core.errors import (
    InternalError,
    ModelOutputError,
    ServiceError,
    SessionNotFoundError,
    SubjectNotFoundError,
    WorkerStoppingError,
)
from tools.core.logs import cause
from tools.core.slots import WorkSlot, WorkSlots
from tools.llm.journal import Call
from tools.llm.token_estimates import usd
from tools.services import Services

logger = logging.getLogger(__name__)

RECURSION_LIMIT = 16
"""Graph steps of one run: six nodes, and room for every repeated proposal."""
WORKING = 16
"""Runs of one worker that work at the same time; the others wait for models or for their turn. So many keep a
core busy while some wait for the stores, and find a connection to these: there are as many for Redis, and
PostgreSQL's are free again within milliseconds."""
CLOSE_SECONDS = 5.0
"""How long a worker waits for runs that it has stopped to save their state."""

PROGRESS_MESSAGES: dict[str, Callable[[dict[str, Any], Language], str]] = {
    "build_query": build_query.progress_message,
    "retrieve": retrieve.progress_message,
    "filter_jobs": filter_jobs.progress_message,
    "summarize": summarize.progress_message,
    "propose_subjects": propose_subjects.progress_message,
    "generate_tasks": generate_tasks.progress_message,
}
"""By node, what makes one line of its update."""

Event = dict[str, Any]
"""A progress event: `type`, `node`, `elapsed_ms` (milliseconds since the run began), `data`."""
Input = Request | Command[str]
"""What the graph starts with: a request, or a command that jumps to the nodes of a new turn."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the name of the API key (empty where none are configured), and the request's
    Idempotency-Key, if it has one."""

    owner: str = ""
    idempotency_key: str | None = None


ANYONE = Caller()


RunKind = Literal["generate", "regenerate"]


class Run:
    """One run of a session: iterate over its events, or await its `answer`. Either starts it.

    The work is a task of its own, so that the time-out's cancellation never lands in the listener's code.
    A listener who leaves cancels it.
    """

    def __init__(
        self,
        kind: RunKind,
        session_id: str,
        owner: str,
        start: Callable[[Run], asyncio.Task[dict[str, Any]]],
        slot: WorkSlot,
    ) -> None:
        self.kind = kind
        self.session_id = session_id
        self.owner = owner
        self.slot = slot
        """Its turn to work, which it gives up while it waits for a model."""
        self.has_session = False
        """Whether the session exists, so that it can be asked again."""
        self.calls: list[Call] = []
        """The calls of models that the run has made."""
        self.watched = False
        """Whether somebody hears the events, so that the graph has to tell what it does."""
        self._start = start
        self._task: asyncio.Task[dict[str, Any]] | None = None
        self._began = time.monotonic()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._told = False
        """Whether its first event has come."""

    async def __aiter__(self) -> AsyncGenerator[Event]:
        """Yields the progress events; the last is `result` or `error`."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def batches(self) -> AsyncGenerator[list[Event]]:
        """Yields the progress events, all those at a time that have come meanwhile; the last is `result` or
        `error`."""
        self.watched = True
        task = self._task = self._start(self)
        task.add_done_callback(lambda _: self._events.put_nowait(None))
        try:
            while (event := await self._events.get()) is not None:
                batch = [event]
                while not self._events.empty() and (event := self._events.get_nowait()) is not None:
                    batch.append(event)
                yield batch
                if event is None:
                    return
        finally:
            # Not awaited: a listener's framework may cancel this very line again and again, which
            # would break off the run while it saves its state. `ended` and `Sessions.aclose` wait for it.
            # Of a task that has failed, this also tells asyncio that its error need not be reported.
            task.cancel()

    @property
    def has_ended(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self._task is not None and self._task.done()

    async def ended(self) -> None:
        """Waits until a run whose listener has left has let go of its session."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)

    async def answer(self) -> dict[str, Any]:
        """Returns the answer.

        Raises:
            ServiceError: the run failed.
        """
        task = self._task = self._start(self)
        try:
            await asyncio.wait({task})
            return task.result()
        finally:
            task.cancel()

    def emit(self, kind: str, node: str | None, data: Any) -> None:
        """Adds an event. There are some forty in a run, so the queue needs no bound."""
        if kind == "node_started":
            data = {"session_id": self.session_id}  # a client who loses the stream can ask the session again
        if self.watched and not self._told:
            self._told = True
            metrics.FIRST_EVENT_SECONDS.observe(time.monotonic() - self._began)
        event = {"type": kind, "node": node, "elapsed_ms": self.elapsed_ms(), "data": data}
        self._events.put_nowait(event)

    def elapsed_ms(self) -> int:
        """Returns the milliseconds since the run began."""
        return round((time.monotonic() - self._began) * 1000)


Work = Callable[[Run], Awaitable[dict[str, Any]]]
"""What a run does; returns the answer."""


class Sessions:
    """Generates and regenerates. Keeps nothing of a session: any worker can go on with any one."""

    def __init__(self, services: Services, saver: TurnSaver, lease: WorkerLease) -> None:
        self._services = services
        self._saver = saver
        self._graph = build_graph(saver)
        self._records = SessionRecords(services.redis, services.settings, lease)
        self._idempotency = IdempotencyKeys(services.redis, services.settings)
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()
        self._stopping = False
        self._slots = WorkSlots(WORKING)

    def generate(
        self, profile: Profile, language: Language, caller: Caller = ANYONE, session_id: str | None = None
    ) -> Run:
        """Returns a run that starts a session, under `session_id` where one is given.

        A `result` event's data is an `Answer`. An `error` event's data is `{"code", "message", "details"}`,
        with the session's id in the details; the session can be asked again. With an Idempotency-Key that
        was used before, what that request began is finished, or its answer given again.
        """
        request = Request(profile=profile_dict(profile), language=language)

        async def work(run: Run) -> dict[str, Any]:
            async def first_turn(attempt: Attempt | None) -> dict[str, Any]:
                return await self._first_turn(run, request, caller, attempt)

            return await self._with_idempotency(run, caller, ["generate", request], first_turn)

        return self._new_run("generate", session_id or uuid.uuid4().hex, caller.owner, work)

    def regenerate(self, session_id: str, wishes: Wishes, caller: Caller = ANYONE) -> Run:
        """Returns a run that goes on with a session as if `summarize` had just ended.

        Its events are those of `generate`. A session whose first run broke off has it finished, with these
        wishes. The run fails with SessionNotFoundError where the session is unknown or somebody else's,
        RunInProgressError where it is at work, SubjectNotFoundError where the subject is no candidate.
        """

        # Of the fields of `Wishes` alone, whatever else a subclass has. `weeks` only where it is wished for:
        # so an Idempotency-Key that was used before there was this wish still names the same request.
        unwished = {"weeks"} if wishes.weeks is None else set()
        asked = wishes.model_dump(include=set(Wishes.model_fields) - unwished)
        request = ["regenerate", session_id, asked]

        async def work(run: Run) -> dict[str, Any]:
            await self._records.load(session_id, caller.owner)
            run.has_session = True

            async def next_turn(attempt: Attempt | None) -> dict[str, Any]:
                return await self._next_turn(run, wishes, caller, attempt)

            return await self._with_idempotency(run, caller, request, next_turn)

        return self._new_run("regenerate", session_id, caller.owner, work)

    async def check(self, session_id: str, owner: str = ANYONE.owner) -> None:
        """Checks that a session is there and its owner's, which renews its life.

        Raises:
            SessionNotFoundError: as `view`.
            redis.exceptions.RedisError: Redis does not answer.
        """
        await self._records.load(session_id, owner)

    async def view(self, session_id: str, owner: str = ANYONE.owner) -> dict[str, Any]:
        """Returns the session as JSON; for a guest, without what the person says of themself.

        Raises:
            SessionNotFoundError: it does not exist, has expired, or is somebody else's.
            redis.exceptions.RedisError: Redis does not answer.
        """
        record = await self._records.load(session_id, owner, may_be_guest=True)
        state = await self._state(session_id)
        view = session_view(session_id, {**record.request, **state} if state else record.request)
        return view if record.owner == owner else view_of_guest(view)

    async def forget(self, session_id: str, owner: str = ANYONE.owner) -> None:
        """Deletes everything of a session at once.

        Raises:
            SessionNotFoundError: as `view`.
            RunInProgressError: a run is at work on it.
            redis.exceptions.RedisError: Redis does not answer.
        """
        await self._records.forget(session_id, owner)

    def new_slot(self) -> WorkSlot:
        """Returns a slot among those of the runs, for other work that asks a model."""
        return self._slots.slot()

    async def aclose(self) -> None:
        """Stops what still runs, each run with WorkerStoppingError, and waits until it has saved its state,
        at most CLOSE_SECONDS. Another worker can go on with each session."""
        self._stopping = True
        await asyncio.sleep(0)  # a task that was created a moment ago takes its first step, to see the stop
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    def _new_run(self, kind: RunKind, session_id: str, owner: str, work: Work) -> Run:
        def start(run: Run) -> asyncio.Task[dict[str, Any]]:
            task = asyncio.create_task(self._run_counted(run, work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return task

        return Run(kind, session_id, owner, start, self.new_slot())

    async def _run_counted(self, run: Run, work: Work) -> dict[str, Any]:
        with _counted(run):
            if spans.tracer is None:
                return await self._run_within_limit(run, work)
            with spans.span(spans.tracer, f"run {run.kind}", {"checkerboard.kind": run.kind}):
                spans.bind_trace()
                return await self._run_within_limit(run, work)

    async def _run_within_limit(self, run: Run, work: Work) -> dict[str, Any]:
        """Does the work within the limit; its outcome is the last event."""
        if self._stopping:  # `aclose` has cancelled what there was, and would not see this one
            raise _failed(run, WorkerStoppingError())
        try:
            # Waiting is not running: the limit begins with the run's first turn to work.
            async with run.slot, run_limit(self._services.settings.run_timeout_seconds) as limit:
                with run.slot.stopping(limit):
                    done = await work(run)
        except asyncio.CancelledError:
            # The other reason is a listener that has left, and hears no more.
            if not self._stopping:
                raise
            raise _failed(run, WorkerStoppingError()) from None
        except Exception as error:
            failure = _failed(run, error)
            if failure is error:
                raise
            raise failure from error
        run.emit("result", None, done)
        return done

    async def _with_idempotency(
        self,
        run: Run,
        caller: Caller,
        request: list[Any],
        turn: Callable[[Attempt | None], Awaitable[dict[str, Any]]],
    ) -> dict[str, Any]:
        """Answers with `turn`, or with what the same Idempotency-Key was answered before."""
        if caller.idempotency_key is None:
            return await turn(None)
        key = caller.idempotency_key
        attempt = await self._idempotency.begin(caller.owner, key, request, run.session_id)
        run.session_id = attempt.session_id
        bind_contextvars(session_id=run.session_id)
        if attempt.answer is not None:
            return attempt.answer
        done = await turn(attempt)
        await self._idempotency.finish(attempt, done)
        return done

    async def _first_turn(
        self, run: Run, request: Request, caller: Caller, attempt: Attempt | None
    ) -> dict[str, Any]:
        """Runs a session's first turn, or finishes it where an earlier request with the key broke off."""
        record = None
        if attempt is not None and not attempt.first:
            with suppress(SessionNotFoundError):  # the earlier request did not come so far
                record = await self._records.load(run.session_id, caller.owner)
        # Under a key that was used before, an earlier request may have come further than its record tells.
        is_new = record is None and (attempt is None or attempt.first)
        record = record or await self._records.create(run.session_id, caller.owner, request)
        run.has_session = True
        async with self._records.locked(run.session_id) as lock:
            state = None if is_new else await self._state(run.session_id)
            if state is not None:
                return self._answer(run, state)
            return await self._run_turn(run, record, lock, request, PendingTurn(first=True))

    async def _next_turn(
        self, run: Run, wishes: Wishes, caller: Caller, attempt: Attempt | None
    ) -> dict[str, Any]:
        async with self._records.locked(run.session_id) as lock:
            # Read under the lock: it may have been forgotten a moment ago.
            record = await self._records.load(run.session_id, caller.owner)
            state = await self._state(run.session_id)
            key = attempt.key if attempt else None
            if key and state and state["turn"].get("key") == key:
                # The turn had ended, but its worker before it could say so.
                return self._answer(run, state)
            turn = Turn(
                chosen=_offered(state, wishes.subject_id) if wishes.subject_id else None,
                difficulty=wishes.difficulty,
                weeks=wishes.weeks,
                skills=wishes.skills,
                feedback=wishes.feedback,
                key=key,
            )
            if state is None:
                # The first run broke off. It begins again; what it was answered is in the journal.
                start = Request(**{**record.request, "turn": turn})
                return await self._run_turn(run, record, lock, start, PendingTurn(first=True))
            # The update travels with the run, so that there is one checkpoint a turn.
            update = {"turn": turn, "draft": {}}
            command = Command(update=update, goto=start_turn({**state, "turn": turn}))
            return await self._run_turn(run, record, lock, command, PendingTurn())

    async def _run_turn(
        self, run: Run, record: SessionRecord, lock: SessionLock, start: Input, pending: PendingTurn
    ) -> dict[str, Any]:
        """Runs the graph to its end, and then saves the turn. What models answer is in the journal until
        then."""
        record.lock = lock
        context = RunContext.of(
            self._services,
            journal=record,
            calls=run.calls,
            owner=record.owner,
            slot=run.slot,
            watched=run.watched,
        )
        config = _config(run.session_id, pending)
        if tracing_is_enabled():  # a checkpoint would keep it
            config["metadata"] = {**_traced(context, record), **get_contextvars()}
        try:
            async for part in self._graph.astream(
                start,
                config,
                context=context,
                stream_mode=["custom", "tasks"] if run.watched else ["values"],
                output_keys=[],  # of `values`: the state is taken from the checkpoint, once
                durability="exit",
                version="v2",
            ):
                if event := _progress_event(part["type"], part["data"], record.request["language"]):
                    run.emit(*event)
        except ModelOutputError:
            # The same answers would fail again: the next try asks anew.
            await self._records.clear_pending(record)
            raise
        await self._saver.save(pending, record)
        return self._answer(run, pending.state)

    def _answer(self, run: Run, state: Mapping[str, Any]) -> dict[str, Any]:
        return answer(run.session_id, state, self._services.settings)

    async def _state(self, session_id: str) -> State | None:
        """Returns the state after the last turn that ended; None where none has."""
        values: Any = (await self._graph.aget_state(_config(session_id))).values
        return values or None


def _progress_event(mode: str, data: Any, language: Language) -> tuple[str, str, Any] | None:
    """Returns the type, the node and the data of the event that a part of LangGraph's stream stands for.

    `mode` is the stream mode of the part. Of `tasks`, the begin of a node is a `node_started` and its end a
    `node_finished`; of `custom`, what a node writes itself (`subject`, `task`, `withdrawn`) is passed on.
    """
    match mode, data:
        case "custom", {"type": kind, "node": node, "data": written}:
            return kind, node, written
        case "tasks", {"name": node, "input": _}:
            return "node_started", node, None
        case "tasks", {"name": node, "result": update, "error": None}:
            return "node_finished", node, PROGRESS_MESSAGES[node](update, language)
    return None


@contextmanager
def _counted(run: Run) -> Iterator[None]:
    """Counts a run, and logs a line of it when it has ended."""
    metrics.RUNS_IN_FLIGHT.inc()
    bind_contextvars(session_id=run.session_id)  # of the run's own task
    outcome = "left"
    try:
        yield
        outcome = "succeeded"
        metrics.RUN_SECONDS.labels(run.kind).observe(run.elapsed_ms() / 1000)
    except ServiceError as error:
        outcome = error.code
        raise
    finally:
        metrics.RUNS_IN_FLIGHT.dec()
        metrics.RUNS.labels(run.kind, outcome).inc()
        paid = [call for call in run.calls if not call.replayed]
        tokens = sum(call.input_tokens or 0 for call in paid), sum(call.output_tokens or 0 for call in paid)
        costs = [usd(call.model, call.input_tokens or 0, call.output_tokens or 0) for call in paid]
        fields = {
            "session_id": run.session_id,
            "key": run.owner,
            "kind": run.kind,
            "outcome": outcome,
            "milliseconds": run.elapsed_ms(),
            "calls": len(paid),
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
            "usd": None if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
        }
        logger.info("run ended", extra=fields)


def _failed(run: Run, error: Exception) -> ServiceError:
    """Logs the failure of a run and emits it; returns it as an error of the service."""
    failure = to_service_error(error)
    if run.has_session:
        failure.session_id = failure.session_id or run.session_id
    # A refusal or a stop by the operator is no error of the service. An unknown error needs its traceback.
    expected = failure.http_status < 500 or isinstance(failure, WorkerStoppingError)  # noqa: PLR2004
    logger.log(
        logging.INFO if expected else logging.ERROR,
        "run failed",
        exc_info=error if isinstance(failure, InternalError) else None,
        extra={"session_id": run.session_id, "code": failure.code, "cause": cause(error)},
    )
    run.emit("error", None, failure.as_json())
    return failure


def _config(session_id: str, pending: PendingTurn | None = None) -> RunnableConfig:
    configurable = {"thread_id": session_id, **(pending.configurable() if pending else {})}
    return {"configurable": configurable, "recursion_limit": RECURSION_LIMIT}


def _traced(context: RunContext, record: SessionRecord) -> dict[str, Any]:
    """Returns what a trace of the run says of it."""
    versions = context.prompts.versions(record.request["language"])
    return {"service": SERVICE_VERSION, "prompts": context.prompts.version, "prompt_versions": versions}


def _offered(state: State | None, subject_id: str) -> SubjectDict:
    """Returns a candidate, or the current subject, which may be built again with other wishes."""
    subjects = state["subjects"] if state else None
    for subject in (subjects["current"], *subjects["candidates"]) if subjects else ():
        if subject["id"] == subject_id:
            return subject
    problem = "is not among the session's candidates"
    raise SubjectNotFoundError(subject_id=subject_id, fields=[{"field": "subject_id", "problem": problem}])
