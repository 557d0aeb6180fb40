"""Background runs as the routes see them, and what a worker does with one that is handed to it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import psycopg
from redis.exceptions import RedisError
from structlog.contextvars import bound_contextvars

from graph.sessions.lease import WorkerLease
from graph.sessions.owners import may_read
from graph.sessions.record import IdempotencyKeys
from graph.sessions.sessions import Caller, Event, Run, Sessions
from serve.admission import Admission
from serve.limits.holds import Door, Limiter, cost_of
from serve.run_models import GenerateInput, RegenerateInput
from serve.runs.engine import Engine, Found, GiveBackError, Handed, queue_name
from serve.runs.events import LAST, READING, Watching
from serve.runs.signals import Signals
from serve.runs.store import ENDED, Begun, Kind, RunRecord, RunStore, State, StoredEvent, event_of
from serve.server_sent import one_line_json
from tools.core import metrics
from tools.core.errors import RunAbandonedError, RunCancelledError, RunNotFoundError
from tools.core.logs import cause
from tools.services import Services

logger = logging.getLogger(__name__)

MOST_TRIES = 5
"""So many workers may die with a run, and so often it is tried again where a store was away."""
AGAIN_SECONDS = {"worker_stopping": 0.0, "run_in_progress": 1.0, "store_unavailable": 2.0}
"""Failures after which a run goes back to the queue, and for how long: this worker is on its way out,
somebody else is at work on the session, a store was away. Nothing that was paid for is lost by it."""
PASSING = (None, "loading", "starting", "stopping", "busy")
"""Reasons for which a store is away that pass by themselves."""
REDIS_PATIENCE_SECONDS = 60.0
"""How long a worker that has the end of a run to tell waits for Redis. After that it is done again, by
whichever worker is free."""
ORPHAN_SECONDS = 60.0
"""A run that is open for so long and has no job gets one: its worker or a store has lost it."""
MEND_SECONDS = 30.0
_AWAY_SECONDS = 0.5


class Runs:
    """The background runs of this worker and all others."""

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        lease: WorkerLease,
        admission: Admission,
        limiter: Limiter,
        *,
        queue: str,
    ) -> None:
        settings = services.settings
        self._redis = services.redis
        self._sessions = sessions
        self._lease = lease
        self._limiter = limiter
        self._idempotency = IdempotencyKeys(services.redis, settings)
        self._store = RunStore(
            services.redis,
            ttl_seconds=max(1, round(settings.session_ttl_minutes * 60)),
            queue=queue,
            bound=settings.run_queue or settings.concurrency,
        )
        self._signals = Signals(services.redis, queue)
        self._watching = Watching(self._store, self._signals)
        self._asking = asyncio.Semaphore(READING)
        self._engine = Engine(services.pool, self._signals, admission, queue, do=self._do, look=self._look)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, *, working: bool) -> None:
        """Begins to listen, and, where this worker does runs (`working`), to fetch them."""
        self._tasks.append(asyncio.create_task(self._signals.listen()))
        await self._engine.open()
        if working:
            self._engine.start()
            self._tasks.append(asyncio.create_task(self._mend()))

    async def start(
        self, caller: Caller, kind: Kind, asked: GenerateInput | RegenerateInput, door: Door
    ) -> RunRecord:
        """Puts a new run into the queue. With an Idempotency-Key that was used before, the run of then is
        returned. `door` is that of the request.

        Raises:
            RateLimitedError: the caller has used what it may.
            SessionNotFoundError: the session to go on with is unknown or somebody else's.
            IdempotencyConflictError: the key was used for something else.
            OverloadedError: as many runs wait as may.
            redis.exceptions.RedisError, psycopg.Error: a store does not answer.
        """
        given = asked.model_dump(mode="json", exclude_none=True)
        session_id = uuid.uuid4().hex
        if isinstance(asked, RegenerateInput):
            session_id = asked.session_id
            await self._sessions.check(session_id, caller.owner)
        run_id, is_new = uuid.uuid4().hex, True
        if caller.idempotency_key is not None:
            # A claim names what it stands for: here the run.
            claim = ["runs", kind, given]
            attempt = await self._idempotency.begin(
                caller.owner, caller.idempotency_key, claim, session_id, run_id=run_id
            )
            run_id = attempt.session_id
            is_new = attempt.first or not await self._store.has(run_id)
        limited = ""
        if is_new:
            limited = await door.hold_in_background(run_id)
        else:
            await door.count()
        async with self._released_on_failure(limited, run_id):
            await self._store.create(
                run_id, owner=caller.owner, session_id=session_id, kind=kind, asked=given, limited=limited
            )
        record = await self._store.get(run_id)
        # Also where it was there: the earlier request may have ended before it came so far.
        await self._put(record)
        return record

    async def get(self, run_id: str, owner: str) -> RunRecord:
        """Returns a run.

        Raises:
            RunNotFoundError: there is none, or it is somebody else's.
            redis.exceptions.RedisError: Redis does not answer.
        """
        async with self._asking:
            record = await self._store.get(run_id)
        if not may_read(owner, record.owner, record.session_id):
            raise RunNotFoundError
        return record

    async def result(self, record: RunRecord) -> Any:
        """Returns the answer of a run that has succeeded; None of any other."""
        return await self._store.result(record.run_id) if record.state == "succeeded" else None

    async def of_session(self, session_id: str, owner: str) -> list[RunRecord]:
        """Returns the runs of a session that `owner` may read, newest first."""
        records = await self._store.of_session(session_id)
        return [record for record in records if may_read(owner, record.owner, session_id)]

    async def count_queued(self) -> int:
        """Returns how many runs wait to be begun, over all workers.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        return await self._store.count_queued()

    async def cancel(self, run_id: str, owner: str) -> RunRecord:
        """Ends a run that has not ended yet; the worker that does it stops at once.

        Raises:
            RunNotFoundError: as `get`.
            redis.exceptions.RedisError, psycopg.Error: a store does not answer.
        """
        await self.get(run_id, owner)
        error = RunCancelledError().as_json()
        await self._store.settle(run_id, "cancelled", event_of("error", error), error=error)
        await self._engine.abort(run_id)
        return await self._store.get(run_id)

    async def resume(self, run_id: str, owner: str, door: Door) -> RunRecord:
        """Goes on with a run that failed or was cancelled: what it was answered is not asked again. Any other
        is left as it is. `door` is that of the request.

        Raises:
            RateLimitedError: the caller has used what it may.
            RunNotFoundError: as `get`.
            OverloadedError: as many runs wait as may.
            redis.exceptions.RedisError, psycopg.Error: a store does not answer.
        """
        before = await self.get(run_id, owner)
        if before.state in ("failed", "cancelled"):
            limited = await door.hold_in_background(run_id)
            async with self._released_on_failure(limited, run_id):
                await self._store.resume(before, limited)
        record = await self._store.get(run_id)
        await self._put(record)
        return record

    def watch(
        self, run_id: str, after: str | None = None, *, seconds: float | None = None
    ) -> AsyncGenerator[list[StoredEvent]]:
        """Yields the events of a run, as `Watching.watch`."""
        return self._watching.watch(run_id, after, seconds=seconds)

    def stop(self) -> None:
        """Fetches no more runs, and sends readers elsewhere. What runs goes on."""
        self._engine.stop()
        self._watching.close()

    @property
    def idle(self) -> asyncio.Event:
        """Is set while this worker is at work on no run."""
        return self._engine.idle

    async def aclose(self) -> None:
        """Waits until what ran has ended or was given back; `Sessions.aclose` stops it."""
        self.stop()
        await self._engine.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @asynccontextmanager
    async def _released_on_failure(self, limited: str, run_id: str) -> AsyncIterator[None]:
        """Gives back what is reserved for a run that cannot be written down."""
        try:
            yield
        except BaseException:
            if limited:
                await self._limiter.settle(limited, run_id=run_id)
            raise

    async def _put(self, record: RunRecord) -> None:
        if record.state == "queued":
            await self._engine.put(Handed(record.run_id, record.generation), record.session_id)

    async def _do(self, handed: Handed) -> None:
        """Does a run that was handed to this worker.

        Raises:
            GiveBackError: it goes back to the queue.
        """
        try:
            record = await self._store.get(handed.run_id)
            begun = await self._store.begin(record, handed.generation, self._lease.worker_id)
        except RunNotFoundError:  # forgotten with its session
            with suppress(RedisError):  # its places in the lists expire
                await self._store.close(handed.run_id)
            return
        except RedisError as error:
            logger.warning("a run could not be begun", extra={"cause": cause(error)})
            raise GiveBackError(AGAIN_SECONDS["store_unavailable"]) from error
        if begun is None:
            return
        if begun.attempt == 1:
            metrics.QUEUE_WAIT_SECONDS.observe(max(0.0, time.time() - record.created_at))
        with bound_contextvars(run_id=record.run_id, request_id=record.request_id):
            await self._attempt(record, begun)

    async def _attempt(self, record: RunRecord, begun: Begun) -> None:
        """Does what is left of a run.

        Raises:
            GiveBackError: as `_do`.
        """
        telling = _Telling(self._store, record, begun)
        if begun.losses > MOST_TRIES:
            await telling.end("failed", RunAbandonedError().as_json())
            return
        run = self._run(record)
        try:
            async with aclosing(run.batches()) as batches:
                async for batch in batches:
                    if not await telling.tell(batch):
                        return  # it is another's, has ended, or is forgotten
        finally:
            # The next run of the session finds it free.
            await run.ended()
            if record.limited:
                # A worker that is dead could not say what it paid for; what it was answered says it.
                lost = record.state == "running"
                await self._limiter.settle(record.limited, cost_of(run.calls, replayed=lost))
        await telling.tell_last()

    def _run(self, record: RunRecord) -> Run:
        # Whoever does it again finds by this key what was begun, and what was answered already.
        caller = Caller(record.owner, f"run:{record.run_id}")
        if record.kind == "generate":
            asked = GenerateInput.model_validate(record.input)
            return self._sessions.generate(asked.profile, asked.language, caller, record.session_id)
        wishes = RegenerateInput.model_validate(record.input)
        return self._sessions.regenerate(record.session_id, wishes, caller)

    async def _look(self, handed: Handed) -> Found:
        try:
            record = await self._store.get(handed.run_id)
        except RunNotFoundError:
            return "over"
        if record.state in ENDED or record.generation != handed.generation:
            return "over"
        if record.state == "running" and await self._redis.exists(f"worker:{record.worker}"):
            return "late"
        return "lost"

    async def _mend(self) -> None:
        """Gives open runs that no job stands for a new one, from time to time."""
        while True:
            await asyncio.sleep(MEND_SECONDS)
            try:
                open_runs = await self._store.open_before(time.time() - ORPHAN_SECONDS)
                for run_id in await self._engine.without_job(open_runs) if open_runs else ():
                    await self._mend_one(run_id)
            except (RedisError, psycopg.Error) as error:
                logger.warning("no orphaned runs are looked for", extra={"cause": cause(error)})

    async def _mend_one(self, run_id: str) -> None:
        try:
            record = await self._store.get(run_id)
        except RunNotFoundError:
            await self._store.close(run_id)
            return
        if record.state not in ENDED:
            logger.warning("a run had no job and is given one", extra={"run_id": run_id})
            await self._engine.put(Handed(run_id, record.generation), record.session_id)


class _Telling:
    """Tells what an attempt does, in order, also where Redis is away for a while."""

    def __init__(self, store: RunStore, record: RunRecord, begun: Begun) -> None:
        self._store = store
        self._record = record
        self._attempt = begun.attempt
        self._told = begun.events
        self._waiting: list[Event] = []
        self._last: Event | None = None

    async def tell(self, batch: list[Event]) -> bool:
        """Tells events; the last of the run waits for `tell_last`. Says whether the attempt is not over."""
        if batch[-1]["type"] in LAST:
            *batch, self._last = batch
        self._waiting += batch
        try:
            return await self._tell_waiting()
        except RedisError as error:
            logger.warning("events of a run have to wait for Redis", extra={"cause": cause(error)})
            return True

    async def tell_last(self) -> None:
        """Tells how the run has ended.

        Raises:
            GiveBackError: it has not, and goes back to the queue.
        """
        assert self._last is not None  # noqa: S101 - the last event of a run is one of LAST
        if self._last["type"] == "result":
            await self.end("succeeded", None)
            return
        failure = self._last["data"]
        seconds = AGAIN_SECONDS.get(failure["code"])
        if failure["code"] == "store_unavailable" and (
            self._attempt >= MOST_TRIES or failure["details"].get("reason") not in PASSING
        ):
            seconds = None
        if seconds is None:
            await self.end("failed", failure)
            return
        waits = event_of("queued", {"session_id": self._record.session_id})
        if await self._settle("queued", waits, None):
            raise GiveBackError(seconds)

    async def end(self, state: State, failure: Mapping[str, Any] | None) -> None:
        """Ends the run."""
        last = self._last or {"type": "error", "node": None, "elapsed_ms": 0, "data": failure}
        await self._settle(state, StoredEvent(None, last["type"], one_line_json(last)), failure)

    async def _tell_waiting(self) -> bool:
        if self._waiting:
            told = await self._store.tell(self._record.run_id, self._attempt, self._told, self._waiting)
            if told < 0:
                return False
            self._told = told
            self._waiting.clear()
        return True

    async def _settle(self, state: State, event: StoredEvent, failure: Mapping[str, Any] | None) -> bool:
        until = time.monotonic() + REDIS_PATIENCE_SECONDS
        while True:
            try:
                return await self._tell_waiting() and await self._store.settle(
                    self._record.run_id, state, event, attempt=self._attempt, error=failure
                )
            except RedisError as error:
                logger.warning("the end of a run has to wait for Redis", extra={"cause": cause(error)})
                if time.monotonic() > until:
                    raise GiveBackError(AGAIN_SECONDS["store_unavailable"]) from error
                await asyncio.sleep(_AWAY_SECONDS)


@asynccontextmanager
async def open_runs(
    services: Services,
    sessions: Sessions,
    lease: WorkerLease,
    admission: Admission,
    limiter: Limiter,
    *,
    working: bool,
) -> AsyncIterator[Runs]:
    """Yields the background runs; `working`: this worker does some.

    Raises:
        redis.exceptions.RedisError: Redis does not answer.
    """
    assert services.settings.database_url is not None  # noqa: S101 - `embedded_servers` has filled it
    queue = await queue_name(services.redis, services.settings.database_url)
    runs = Runs(services, sessions, lease, admission, limiter, queue=queue)
    await runs.open(working=working)
    try:
        yield runs
    finally:
        await runs.aclose()
