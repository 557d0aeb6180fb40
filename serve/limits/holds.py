"""From the door of a request to the end of its runs: what they hold of their caller's limits."""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import Request
from redis.exceptions import RedisError

from graph.sessions.sessions import Run
from serve.limits.counts import NOTHING, Cost, LimitCounts
from serve.limits.principals import Principal, principal_of
from serve.limits.state import HEADERS, HOLDS
from tools.core.errors import RateLimitedError
from tools.core.logs import cause
from tools.core.settings import Settings
from tools.llm.journal import Call
from tools.llm.token_estimates import usd

if TYPE_CHECKING:
    from serve.context import AppContext

logger = logging.getLogger(__name__)

INPUT_TOKENS, OUTPUT_TOKENS = 15_000, 4_000
"""What is reserved for a run. A generation takes 21,300 and 4,000 by an upper estimate (docs/evaluations.md),
of which OpenAI's present vocabulary counts 0.54 to 0.67 (`tools/llm/token_estimates.py`)."""
AGAIN_SECONDS = 1.0
"""Between two tries to settle what Redis did not take."""


def estimate(settings: Settings) -> Cost:
    """Returns what is reserved for a run: of its tokens, and, by the dearest model that it may ask, of money;
    none where no price is known."""
    chosen = (choice.model for choice in settings.models.values())
    models = {settings.chat_model, settings.fallback_model, *chosen}
    prices = [usd(model, INPUT_TOKENS, OUTPUT_TOKENS) or 0.0 for model in models if model]
    return Cost(INPUT_TOKENS + OUTPUT_TOKENS, _micro(0.0 if settings.offline else max(prices)))


def cost_of(calls: Iterable[Call], *, replayed: bool = False) -> Cost:
    """Returns what calls of models have cost, by the API's own counts and standard prices; `replayed`: those
    too that the journal answered, because a worker that is dead has paid for them."""
    paid = [call for call in calls if replayed or not call.replayed]
    tokens = sum((call.input_tokens or 0) + (call.output_tokens or 0) for call in paid)
    spent = sum(usd(call.model, call.input_tokens or 0, call.output_tokens or 0) or 0.0 for call in paid)
    return Cost(tokens, _micro(spent))


class Limiter:
    """Counts for one worker, and settles what it owes even where Redis is away for a while."""

    def __init__(self, counts: LimitCounts, settings: Settings) -> None:
        self.counts = counts
        self._owed: list[Callable[[], Awaitable[None]]] = []
        self._paying: asyncio.Task[None] | None = None
        self._unpriced = not settings.offline and usd(settings.chat_model, 1, 1) is None
        self._model = settings.chat_model

    async def settle(
        self, principal: str, cost: Cost = NOTHING, *, run_id: str = "", reserved: Cost = NOTHING
    ) -> None:
        """As `LimitCounts.settle`; what Redis does not take is told it again, until it does."""

        async def pay() -> None:
            await self.counts.settle(principal, cost, run_id=run_id, reserved=reserved)

        try:
            await pay()
        except (RedisError, asyncio.CancelledError) as error:
            self._owed.append(pay)
            if self._paying is None or self._paying.done():
                self._paying = asyncio.create_task(self._pay())
            if isinstance(error, asyncio.CancelledError):
                raise
            logger.warning("what a run has used is counted later", extra={"cause": cause(error)})

    def report(self) -> dict[str, Any]:
        """Returns what `/readyz` says of the limits."""
        unpriced = f"the price of {self._model} is not known, so limits of money count nothing for it"
        return {
            "ok": not self._owed,
            "message": "Redis did not take what runs have used; it is told again" if self._owed else None,
            "warning": unpriced if self._unpriced else None,
        }

    async def aclose(self) -> None:
        """Tells Redis once more what it did not take."""
        if self._paying is not None:
            self._paying.cancel()
            await asyncio.wait([self._paying])
        try:
            await self._pay_all()
        except RedisError as error:
            logger.warning("what runs have used was not counted", extra={"cause": cause(error)})

    async def _pay(self) -> None:
        while self._owed:
            try:
                await self._pay_all()
            except RedisError:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _pay_all(self) -> None:
        while self._owed:
            await self._owed[0]()
            self._owed.pop(0)


@dataclass(slots=True, eq=False)
class Hold:
    """What one run holds, until it is settled."""

    limiter: Limiter
    principal: str
    reserved: Cost
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    calls: list[Call] = field(default_factory=list)
    """What the run has asked models."""
    run: Run | None = None
    settled: bool = False

    async def settle(self) -> None:
        """Gives it back, and counts what the run has cost."""
        if not self.settled:
            self.settled = True
            cost = cost_of(self.calls)
            await self.limiter.settle(self.principal, cost, run_id=self.run_id, reserved=self.reserved)


class Holds:
    """What the runs of one request hold."""

    def __init__(self, holds: list[Hold]) -> None:
        self._holds = holds
        self._begun = 0

    def next(self, run: Run | None = None) -> Hold:
        """Returns the hold of the next run that begins: one of the graph, or what a route does itself."""
        hold = self._holds[self._begun]
        self._begun += 1
        if run is not None:
            hold.run, hold.calls = run, run.calls
        return hold

    async def settle(self) -> None:
        """Settles what is left when the request is over: of runs that were left, and that never began."""
        for hold in self._holds:
            if not hold.settled:
                if hold.run is not None:
                    await hold.run.ended()
                await hold.settle()


class Door:
    """Where a request is counted, and what its runs will use is reserved."""

    def __init__(self, request: Request) -> None:
        context: AppContext = request.app.state.app_context
        self._limiter = context.limiter
        self._state = request.scope.setdefault("state", {})
        self._principal = principal_of(request)

    async def count(self) -> None:
        """Counts a request that runs nothing.

        Raises:
            RateLimitedError: the caller has none left.
            redis.exceptions.RedisError: Redis does not answer.
        """
        if self._principal is not None and self._principal.limits.requests_per_minute is not None:
            await self._reserve(self._principal, ())

    async def hold(self, runs: int) -> None:
        """Counts a request and reserves for its runs, which last no longer than it; a batch counts as many
        requests as it has runs.

        Raises:
            RateLimitedError, redis.exceptions.RedisError: as `count`.
        """
        if (principal := self._principal) is None:
            return
        limiter = self._limiter
        reserved = limiter.counts.reserved_for(principal.limits)
        holds = [Hold(limiter, principal.name, reserved) for _ in range(runs)]
        # First: where the answer of Redis does not come, it may hold them all the same.
        self._state[HOLDS] = Holds(holds)
        try:
            await self._reserve(principal, [hold.run_id for hold in holds])
        except RateLimitedError:
            del self._state[HOLDS]
            raise

    async def hold_in_background(self, run_id: str) -> str:
        """Counts a request and reserves for a background run, until its record says that it has
        ended. Returns for whom, empty where nothing limits them.

        Raises:
            RateLimitedError, redis.exceptions.RedisError: as `count`.
        """
        if self._principal is None:
            return ""
        await self._reserve(self._principal, [run_id], background=True)
        return self._principal.name

    async def _reserve(self, principal: Principal, run_ids: Any, *, background: bool = False) -> None:
        left, refusal = await self._limiter.counts.reserve(
            principal, run_ids, requests=max(1, len(run_ids)), background=background
        )
        self._state[HEADERS] = left.headers()
        if refusal is not None:
            raise refusal


def _micro(dollars: float) -> int:
    """Returns millionths of a dollar, none of them lost."""
    return math.ceil(dollars * 1_000_000)
