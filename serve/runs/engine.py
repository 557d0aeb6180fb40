"""The queue of runs: procrastinate, in the service's PostgreSQL (`docs/decisions/0033-runs-on-an-engine.md`).

A run that waits is a job. A worker fetches one when it has a place for it, and says with a heartbeat that
it lives; the job is deleted when the run has ended. A job whose worker gives no sign of life is given to
another. The job knows the run's id alone: what was asked, and what became of it, is in Redis (`store.py`).

No connection is held while a run works, none listens, and all come from the worker's one pool.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson
import psycopg
from procrastinate import App, PsycopgConnector, RetryDecision
from procrastinate.connector import Notify
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from procrastinate.retry import BaseRetryStrategy
from procrastinate.worker import Worker
from redis.asyncio import Redis
from redis.exceptions import RedisError

from serve.admission import Admission
from serve.runs.signals import Signals
from tools.core.database import Pool
from tools.core.errors import OverloadedError
from tools.core.logs import cause
from tools.core.sql import queries
from tools.core.store_failures import store_failure

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 3.0
STALLED_SECONDS = 12.0
"""After so long without a heartbeat a worker is taken for dead, if its lease has ended too. That is renewed
by a thread of its own, so that a worker which is merely late keeps its runs."""
SWEEP_SECONDS = 2.0
"""How often jobs of dead workers are looked for."""
POLL_SECONDS = 5.0
"""How often the queue is looked at: a piece of news may be lost, and a place be free again elsewhere."""
ABORT_POLL_SECONDS = 2.0
FORGET_WORKER_SECONDS = 86_400.0
"""After so long procrastinate forgets a worker that has died. One that it forgot while it lived could fetch
nothing any more."""
PAUSE_SECONDS = 1.0
"""Between two tries of what PostgreSQL did not answer."""
CLOSE_SECONDS = 5.0
_TASK = "run"
_JOB_WAITS = '{"type": "job_inserted", "job_id": 0}'
"""As the notification that procrastinate's own trigger sends; nothing asks it which job."""
_SQL: dict[str, Any] = queries("runs.sql")


@dataclass(frozen=True, slots=True)
class Handed:
    """A run as it is handed to a worker."""

    run_id: str
    generation: int
    """The how manieth time it was put into the queue."""


Found = Literal["late", "lost", "over"]
"""What has become of a run without a heartbeat: its worker is late, or is dead, or the run had ended."""


class GiveBackError(Exception):
    """The run goes back to the queue, for whichever worker is free after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


async def queue_name(redis: Redis, database_url: str) -> str:
    """Returns the name of the queue of the runs that this Redis holds and this database hands over: other
    workers may share one of the two.

    Raises:
        redis.exceptions.RedisError: Redis does not answer.
    """
    own = uuid.uuid4().bytes
    held: Any = await redis.set("runs-of", own, nx=True, get=True)
    # Short: it is in the name of a channel of PostgreSQL's, which has 63 bytes.
    return hashlib.sha256((held or own) + urlsplit(database_url).path.encode()).hexdigest()[:16]


class Engine:
    """Hands runs to workers, and does those that are handed to this one."""

    def __init__(
        self,
        pool: Pool,
        signals: Signals,
        admission: Admission,
        queue: str,
        *,
        do: Callable[[Handed], Awaitable[None]],
        look: Callable[[Handed], Awaitable[Found]],
    ) -> None:
        """`do` does a run to its end; `look` says what has become of one whose worker gives no heartbeat."""
        self._pool = pool
        self._signals = signals
        self._queue = queue
        self._do = do
        self._look = look
        self._connector = _Connector(signals)
        self._app = App(connector=self._connector)
        self._stopping = asyncio.Event()
        self._jobs = self._app.job_manager = _Jobs(self._connector, admission, self._stopping)
        self._task = self._app.task(name=_TASK, queue=queue, retry=_GivenBack(), pass_context=False)(
            self._run
        )
        self._admission = admission
        self._doing = 0
        self.idle = asyncio.Event()
        """Is set while this worker is at work on no run."""
        self.idle.set()
        self._worker: Worker | None = None
        self._working: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Takes the pool. From here on runs can be put into the queue."""
        await self._connector.open_async(self._pool)  # type: ignore[arg-type]  # its kind of connection is ours

    async def put(self, handed: Handed, session_id: str) -> None:
        """Puts a run into the queue, unless it waits there. A session's are done one after the other.

        Raises:
            psycopg.Error: PostgreSQL does not answer.
        """
        waiting = self._task.configure(lock=session_id, queueing_lock=handed.run_id)
        with suppress(AlreadyEnqueued):
            await _raising_psycopg(waiting.defer_async(run_id=handed.run_id, generation=handed.generation))
        await self._tell(_JOB_WAITS)

    async def abort(self, run_id: str) -> None:
        """Takes a run out of the queue, or has the worker that does it stop at once.

        Raises:
            psycopg.Error: PostgreSQL does not answer.
        """
        rows = await self._connector.execute_query_all_async(_SQL["jobs_of"], run_id=run_id)
        for row in rows:
            await _raising_psycopg(self._jobs.cancel_job_by_id_async(row["id"], abort=True, delete_job=True))
            await self._tell(orjson.dumps({"type": "abort_job_requested", "job_id": row["id"]}).decode())

    async def without_job(self, run_ids: list[str]) -> set[str]:
        """Returns those of the runs that no job stands for.

        Raises:
            psycopg.Error: PostgreSQL does not answer.
        """
        asked = self._connector.execute_query_all_async(_SQL["with_job"], run_ids=run_ids)
        return set(run_ids) - {row["run_id"] for row in await _raising_psycopg(asked)}

    def start(self) -> None:
        """Has this worker do runs."""
        self._working = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    def stop(self) -> None:
        """Fetches no more; what runs goes on."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()  # type: ignore[no-untyped-call]

    async def aclose(self) -> None:
        """Waits until what runs has ended or was given back, at most CLOSE_SECONDS."""
        self.stop()
        if self._working:
            await asyncio.wait(self._working, timeout=CLOSE_SECONDS)
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _run(self, run_id: str, generation: int) -> None:
        self._doing += 1
        self.idle.clear()
        try:
            await self._do(Handed(run_id, generation))
        finally:
            self._doing -= 1
            if not self._doing:
                self.idle.set()
            self._admission.give_back(1)
            if self._jobs.found_no_place:
                await self._connector.look_again()

    async def _work(self) -> None:
        while not self._stopping.is_set():
            self._worker = Worker(
                self._app,
                queues=[self._queue],
                concurrency=self._admission.limit,
                fetch_job_polling_interval=POLL_SECONDS,
                abort_job_polling_interval=ABORT_POLL_SECONDS,
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=FORGET_WORKER_SECONDS,
                install_signal_handlers=False,
                delete_jobs="always",
            )
            try:
                await self._worker.run()  # type: ignore[no-untyped-call]
            except ConnectorException as error:
                logger.warning("no runs are fetched: PostgreSQL is away", extra={"cause": cause(error)})
            if not self._stopping.is_set():
                await self._pause(PAUSE_SECONDS)

    async def _sweep(self) -> None:
        """Gives the jobs of dead workers to others, from time to time."""
        while not self._stopping.is_set():
            await self._pause(SWEEP_SECONDS)
            try:
                await self._give_away_lost()
            except (ConnectorException, RedisError) as error:
                logger.warning("no lost runs are looked for", extra={"cause": cause(error)})

    async def _give_away_lost(self) -> None:
        stalled = await self._jobs.get_stalled_jobs(
            queue=self._queue, seconds_since_heartbeat=STALLED_SECONDS
        )
        for job in stalled:
            handed = Handed(**job.task_kwargs)  # type: ignore[arg-type]  # as `put` wrote it
            match await self._look(handed):
                case "lost":
                    logger.warning("a run's worker is dead: another does it", extra={"run_id": handed.run_id})
                    await self._jobs.retry_job(job)
                    await self._tell(_JOB_WAITS)
                case "over":
                    await self._jobs.finish_job(job, Status.FAILED, delete_job=True)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _tell(self, words: str) -> None:
        # What is not heard is found by the next look.
        try:
            await self._signals.tell_of_job(words)
        except RedisError as error:
            logger.warning("workers could not be told of a run", extra={"cause": cause(error)})


class _GivenBack(BaseRetryStrategy):
    """Only what was given back is done again; `do` has seen to every other failure."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, GiveBackError):
            return RetryDecision(retry_in={"milliseconds": round(exception.seconds * 1_000)})
        return None


class _Connector(PsycopgConnector):
    """procrastinate's way to PostgreSQL, which hears by Redis what it would have a LISTEN for."""

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self._signals = signals

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Passes on what workers tell one another; ends when it is cancelled."""
        (channel,) = channels

        async def heard(words: str) -> None:
            await on_notification(channel=channel, payload=words)

        self._signals.on_job = heard
        await asyncio.Event().wait()

    async def look_again(self) -> None:
        """Has this worker look at the queue."""
        if self._signals.on_job is not None:
            await self._signals.on_job(_JOB_WAITS)


class _Jobs(JobManager):
    """procrastinate's jobs, fetched only where a place is free, by a worker that outlives an outage."""

    def __init__(self, connector: _Connector, admission: Admission, stopping: asyncio.Event) -> None:
        super().__init__(connector)
        self._admission = admission
        self._stopping = stopping
        self.found_no_place = False
        """Whether a job may wait for a place."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Returns the next job, with a place for its run; None where there is none, or no place."""
        # procrastinate looks once more when it is told to stop: it would find what this worker gives back.
        if self._stopping.is_set():
            return None
        try:
            await self._admission.take(1)
        except OverloadedError:
            self.found_no_place = True
            return None
        except RedisError as error:
            logger.warning("no place could be had for a run", extra={"cause": cause(error)})
            return None
        self.found_no_place = False
        job = None
        try:
            job = await super().fetch_job(queues, worker_id)
        except ConnectorException as error:
            _only_an_outage(error)
            logger.warning("no run could be fetched", extra={"cause": cause(error)})
        finally:
            if job is None:
                self._admission.give_back(1)
        return job

    async def update_heartbeat(self, worker_id: int) -> None:
        """Says that the worker lives."""
        try:
            await super().update_heartbeat(worker_id)
        except ConnectorException as error:
            _only_an_outage(error)
            logger.warning("a worker could not say that it lives", extra={"cause": cause(error)})

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Deletes the job of a run that has ended, however long PostgreSQL is away: it bars the session."""
        await self._persist("finish", job, status=status.value)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Puts a job back into the queue as it was, for `retry_at` or at once."""
        assert (priority, queue, lock) == (None, None, None)  # noqa: S101 - `_GivenBack` asks for no other
        await self._persist("retry", job, retry_at=retry_at)

    async def _persist(self, statement: str, job: Job, **arguments: Any) -> None:
        while True:
            try:
                await self.connector.execute_query_all_async(
                    _SQL[statement], job_id=job.id, worker_id=job.worker_id, **arguments
                )
            except ConnectorException as error:
                _only_an_outage(error)
                logger.warning("the end of a run could not be told", extra={"cause": cause(error)})
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return


def _only_an_outage(error: ConnectorException) -> None:
    """Raises the error unless PostgreSQL was not there."""
    if error.__cause__ is None or store_failure(error.__cause__) is None:
        raise error


async def _raising_psycopg(asked: Awaitable[Any]) -> Any:
    """Awaits what raises the driver's errors in procrastinate's clothes, and raises the driver's."""
    try:
        return await asked
    except ConnectorException as error:
        if isinstance(error.__cause__, psycopg.Error):
            raise error.__cause__ from None
        raise
