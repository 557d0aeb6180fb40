"""The local engine: documents go from stage to stage through bounded queues, all stages at the same time.

    sources ─► documents (PostgreSQL) ─► parse ─► tag ─► embed ─► load

What a stage makes is stored before the next begins, so a run that is killed anywhere goes on there.
At most IN_FLIGHT documents are in memory, however many there are.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ingest.documents import Cost, Listed
from ingest.pipeline.failures import failure_of
from ingest.pipeline.store import STAGES, Document, DocumentStore, Selection, Stage
from ingest.sources.registry import Source
from tools.core.errors import CheckerboardError
from tools.core.logs import cause

logger = logging.getLogger(__name__)

IN_FLIGHT = 256
"""Documents of one run in memory. A parsed poster has about 20 kB, a file up to 100 MB."""
CLAIM_FROM = 64
"""Documents are claimed when there is room for so many, rather than one by one."""
LINGER_SECONDS = 0.2
"""How long a stage that takes several documents at once waits for more of them before it begins."""
POLL_SECONDS = 1.0
"""How often a run looks for documents that other runs have collected or requeued."""
BACKOFF_SECONDS = 5.0
"""Before the second try of a document; before each further one twice as long."""
OUTAGE_FAILURES = 5
"""Failures of a provider in a row from which a stage takes breaks, doubling up to a minute."""
OUTAGE_SECONDS = 900.0
"""How long a provider may be out before the run ends. What is left goes on with the next run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage reports of one document beside its result."""

    cost: Cost = field(default_factory=Cost)
    flags: list[str] | None = None


@dataclass(frozen=True, slots=True)
class StageRunner:
    """How documents come to a stage: `work` takes up to `at_once` of them, in each of `tasks` tasks."""

    stage: Stage
    work: Callable[[list[Document]], Awaitable[list[Outcome]]]
    tasks: int
    at_once: int = 1


@dataclass(slots=True)
class Counts:
    """What one run has done. `cost` is of this run only."""

    collected: Counter[str] = field(default_factory=Counter)
    """Documents by `new`, `changed`, `unchanged`."""
    reached: Counter[str] = field(default_factory=Counter)
    """Documents by stage they came to."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failed tries by code."""
    set_aside: int = 0
    withdrawn: int = 0
    cost: Cost = field(default_factory=Cost)
    sources_failed: dict[str, str] = field(default_factory=dict)

    def add(self, stage: str, cost: Cost) -> None:
        """Counts a document that came to a stage."""
        self.reached[stage] += 1
        self.cost += cost

    def failed(self, code: str, cost: Cost, *, last: bool) -> None:
        """Counts a failed try and what it cost; the last one sets the document aside."""
        self.errors[code] += 1
        self.cost += cost
        self.set_aside += last

    def line(self) -> str:
        """Returns all counts in one line."""
        collected = ", ".join(f"{self.collected[how]} {how}" for how in ("new", "changed", "unchanged"))
        stages = ", ".join(f"{self.reached[stage]} {stage}" for stage in STAGES[1:])
        return f"{collected}; {stages}; {self.set_aside} set aside; {self.cost}"


@dataclass(slots=True)
class _Health:
    """Failures of the provider behind a stage since it last worked."""

    failures: int = 0
    since: float = 0.0

    def pause(self) -> float:
        """Returns the seconds to wait before the next call."""
        return min(60.0, 2.0 ** (self.failures - OUTAGE_FAILURES)) if self.failures >= OUTAGE_FAILURES else 0

    def is_out_for_long(self) -> bool:
        """Counts a failure; whether the provider has been out for too long."""
        now = asyncio.get_running_loop().time()
        if not self.failures:
            self.since = now
        self.failures += 1
        return self.failures >= OUTAGE_FAILURES and now - self.since > OUTAGE_SECONDS


@dataclass(slots=True)
class _Taken:
    """A document that the run has claimed, and what it has cost since."""

    began: float = field(default_factory=time.monotonic)
    cost: Cost = field(default_factory=Cost)


class LocalEngine:
    """Takes documents through stages, those of `ids` where any are given. `attempts` is the number of tries
    of a stage."""

    def __init__(
        self,
        store: DocumentStore,
        runners: Sequence[StageRunner],
        counts: Counts,
        *,
        attempts: int,
        ids: Sequence[int] = (),
        in_batches: bool = False,
    ) -> None:
        self._store = store
        self._runners = {runner.stage: runner for runner in runners}
        before = tuple(stage for stage in STAGES[:-1] if _next(stage) in self._runners)
        self._selection = Selection(before, tuple(ids), in_batches)
        self._counts = counts
        self._attempts = attempts
        self._queues: dict[Stage, asyncio.Queue[Document]] = {
            runner.stage: asyncio.Queue(maxsize=2 * runner.at_once * runner.tasks) for runner in runners
        }
        self._health = {runner.stage: _Health() for runner in runners}
        self._in_flight: dict[int, _Taken] = {}
        self._changed = asyncio.Event()

    async def run(self, sources: Sequence[Source], *, forever: bool = False) -> None:
        """Collects the sources and takes everything that is due through the stages; with `forever` it then
        waits for more.

        A source that refuses, does not answer or does not exist is counted and logged, and the rest goes on.

        Raises:
            CheckerboardError: the run cannot go on (a wrong key, another embedding, a long outage).
                Everything that was made is stored."""
        try:
            async with asyncio.TaskGroup() as group:
                working = [group.create_task(self._store.guard())]
                for runner in self._runners.values():
                    working += [group.create_task(self._work(runner)) for _ in range(runner.tasks)]
                collecting = [group.create_task(self._collect(source)) for source in sources]
                await self._feed(collecting, forever=forever)
                for task in working:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise _first(errors) from None

    async def _collect(self, source: Source) -> None:
        try:
            async for item in source.documents():
                if isinstance(item, Listed):
                    self._counts.withdrawn += await self._store.withdraw(item)
                else:
                    self._counts.collected[await self._store.collect(item)] += 1
                    self._changed.set()
        except (CheckerboardError, OSError) as error:
            logger.warning("source ended", extra={"source": source.name, "cause": cause(error)})
            self._counts.sources_failed[source.name] = str(error)
        self._changed.set()

    async def _feed(self, collecting: Sequence[asyncio.Task[None]], *, forever: bool) -> None:
        """Claims what is due and puts it into the queue of its next stage, until nothing is left."""
        while True:
            self._changed.clear()
            # Before the claim: a document that is collected or fails after it would otherwise be missed.
            idle = all(task.done() for task in collecting) and not self._in_flight
            room = IN_FLIGHT - len(self._in_flight)
            if room < CLAIM_FROM:
                await self._changed.wait()
                continue
            claimed = await self._store.claim(self._selection, room)
            for document in claimed:
                # A claim that was lost with its connection is claimed again before `guard` has seen it.
                if document.id not in self._in_flight:
                    self._in_flight[document.id] = _Taken()
                    await self._queues[_next(document.stage)].put(document)
            if claimed:
                continue
            next_due = await self._store.next_due(self._selection)
            if idle and not forever and next_due is None:
                return
            due = POLL_SECONDS if next_due is None else next_due
            try:
                async with asyncio.timeout(min(max(due, 0.05), POLL_SECONDS)):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _work(self, runner: StageRunner) -> None:
        queue = self._queues[runner.stage]
        while True:
            documents = [await queue.get()]
            if runner.at_once > 1:
                await _fill(documents, queue, runner.at_once)
            await asyncio.sleep(self._health[runner.stage].pause())
            await self._process(runner, documents)

    async def _process(self, runner: StageRunner, documents: list[Document]) -> None:
        try:
            outcomes = await runner.work(documents)
        except Exception as error:  # noqa: BLE001 - an error of a document ends that document only
            if len(documents) == 1:
                await self._failed(runner, documents[0], error)
            else:
                # One of them may be the cause: each alone.
                for document in documents:
                    await self._process(runner, [document])
            return
        self._health[runner.stage].failures = 0
        for document, outcome in zip(documents, outcomes, strict=True):
            self._counts.add(runner.stage, outcome.cost)
            self._in_flight[document.id].cost += outcome.cost
            last = runner.stage == STAGES[-1] or _next(runner.stage) not in self._runners
            stored = await self._store.advance(document, runner.stage, outcome.cost, outcome.flags, last=last)
            if stored and not last:
                await self._queues[_next(runner.stage)].put(document)
            else:
                if not stored and runner.stage == STAGES[-1]:
                    await self._store.withdraw_if_gone(document)
                self._done(document, "done" if stored else "changed")

    async def _failed(self, runner: StageRunner, document: Document, error: Exception) -> None:
        failure = failure_of(error, runner.stage)
        if failure.fatal or (failure.transient and self._health[runner.stage].is_out_for_long()):
            raise error
        last = failure.final or document.attempts + 1 >= self._attempts
        wait = BACKOFF_SECONDS * 2**document.attempts
        await self._store.fail(document, failure.as_json(), failure.cost, final=last, retry_in_seconds=wait)
        self._counts.failed(failure.code, failure.cost, last=last)
        self._in_flight[document.id].cost += failure.cost
        self._done(
            document,
            "set_aside" if last else "tried_again",
            attempts=document.attempts + 1,
            failed=failure.stage,
            code=failure.code,
        )

    def _done(self, document: Document, outcome: str, **failure: int | str) -> None:
        """Lets go of a document, with a line of what became of it, and what it has cost this run. `changed`:
        at its source meanwhile, so that it begins anew."""
        taken = self._in_flight.pop(document.id)
        fields = {
            "source": document.source,
            "source_id": document.source_id,
            "outcome": outcome,
            "stage": document.stage,
            "milliseconds": round((time.monotonic() - taken.began) * 1000),
            **taken.cost.model_dump(),
        }
        logger.log(logging.WARNING if failure else logging.INFO, "document ended", extra=fields | failure)
        self._changed.set()


async def _fill(documents: list[Document], queue: asyncio.Queue[Document], size: int) -> None:
    """Takes more documents out of the queue, for LINGER_SECONDS."""
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while len(documents) < size:
                documents.append(await queue.get())
    except TimeoutError:
        pass


def _next(stage: Stage) -> Stage:
    return STAGES[STAGES.index(stage) + 1]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the error that ended a run: the first CheckerboardError, else the first of all."""
    flat: list[BaseException] = []
    for error in errors.exceptions:
        flat.append(_first(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((error for error in flat if isinstance(error, CheckerboardError)), flat[0])
