"""What Redis counts of those who are limited: exact over workers, and nothing that is held is lost."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from graph.sessions import lease as lease_module
from graph.sessions.lease import WorkerLease, open_lease
from serve.keys.store import Limits
from serve.limits.counts import AGAIN_SECONDS, BEGINNING_MS, Cost, LimitCounts
from serve.limits.principals import Principal
from tests.pace import scaled, time_limit
from tools.core.errors import RateLimitedError
from tools.core.settings import Settings

ESTIMATE = Cost(tokens=1_000, micro_usd=3_000)


@dataclass(frozen=True, slots=True)
class Workers:
    """Two workers, each with a lease of its own, and what a test sees of Redis."""

    one: LimitCounts
    other: LimitCounts
    redis: Redis

    async def held(self, principal: Principal) -> tuple[int, ...]:
        """How many runs, tokens and millionths of a dollar are reserved."""
        found = await self.redis.hmget(f"limit-held:{principal.name}", ["runs", "tokens", "money"])  # type: ignore[misc]
        return tuple(int(value or 0) for value in found)

    async def used(self, principal: Principal) -> Cost:
        """What has been used, in whichever day and month."""
        found = {}
        for kind in ("tokens", "money"):
            keys = [key async for key in self.redis.scan_iter(match=f"limit-{kind}:{principal.name}:*")]
            found[kind] = sum([int(await self.redis.get(key)) for key in keys])
        return Cost(found["tokens"], found["money"])

    async def pass_time(self, principal: Principal, seconds: float) -> None:
        """Makes what Redis has of a principal so much older."""
        key, milliseconds = f"limit-requests:{principal.name}", round(seconds * 1_000)
        for place, at in enumerate(await self.redis.lrange(key, 0, -1)):  # type: ignore[misc]
            await self.redis.lset(key, place, str(int(at) - milliseconds))  # type: ignore[misc]
        key = f"limit-holds:{principal.name}"
        for run_id, hold in (await self.redis.hgetall(key)).items():  # type: ignore[misc]
            worker, at, *rest = hold.decode().split("|")
            await self.redis.hset(key, run_id, "|".join((worker, str(int(at) - milliseconds), *rest)))  # type: ignore[misc]
        await self.redis.hdel(f"limit-held:{principal.name}", "looked")  # type: ignore[misc]


@pytest.fixture
async def leases(embedded: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[WorkerLease]]:
    monkeypatch.setattr(lease_module, "WORKERS", f"workers of {uuid.uuid4().hex}")
    async with open_lease(embedded) as one, open_lease(embedded) as other:
        yield [one, other]


@pytest.fixture
async def workers(embedded: Settings, leases: list[WorkerLease]) -> AsyncIterator[Workers]:
    assert embedded.redis_url is not None
    async with Redis.from_url(embedded.redis_url) as redis:
        one, other = (LimitCounts(redis, lease.worker_id, ESTIMATE) for lease in leases)
        yield Workers(one, other, redis)


def limited(
    requests: int | None = None, runs: int | None = None, tokens: int | None = None, usd: str | None = None
) -> Principal:
    limits = Limits(requests, runs, tokens, None if usd is None else Decimal(usd))
    return Principal(f"key:{uuid.uuid4().hex}", limits)


def refused(refusal: RateLimitedError | None) -> tuple[str | None, int | None]:
    """What there was no more of, and after how many seconds there is."""
    assert refusal is not None
    assert refusal.code == "rate_limited" and refusal.http_status == 429
    return refusal.limit, refusal.retry_after_seconds


async def test_a_burst_at_two_workers_passes_as_often_as_it_may(workers: Workers) -> None:
    principal = limited(requests=20)
    asked = [counts.reserve(principal) for _ in range(50) for counts in (workers.one, workers.other)]
    answers = await asyncio.gather(*asked)
    assert sum(refusal is None for _, refusal in answers) == 20
    assert sorted(left.requests or 0 for left, refusal in answers if refusal is None) == list(range(20))


async def test_after_the_seconds_of_retry_after_there_is_a_request_again_and_not_before(
    workers: Workers,
) -> None:
    principal = limited(requests=3)
    for _ in range(3):
        assert (await workers.one.reserve(principal))[1] is None
        await workers.pass_time(principal, 10)
    what, seconds = refused((await workers.other.reserve(principal))[1])
    assert what == "requests_per_minute" and seconds is not None and 28 <= seconds <= 30
    await workers.pass_time(principal, seconds - 2)
    assert (await workers.other.reserve(principal))[1] is not None
    await workers.pass_time(principal, 2)
    assert (await workers.other.reserve(principal))[1] is None
    # That was the oldest of the three, and the next is ten seconds younger.
    _, seconds = refused((await workers.one.reserve(principal))[1])
    assert seconds is not None and 8 <= seconds <= 11


async def test_a_refused_request_is_counted_in_nothing(workers: Workers) -> None:
    principal = limited(requests=10, runs=1)
    assert (await workers.one.reserve(principal, ["a"]))[1] is None
    for _ in range(5):
        left, refusal = await workers.other.reserve(principal, ["b"])
        assert refused(refusal) == ("runs_at_once", AGAIN_SECONDS)
        assert (left.requests, left.runs) == (9, 0)


async def test_a_batch_counts_as_many_as_it_has_runs_and_is_never_let_in_where_it_never_fits(
    workers: Workers,
) -> None:
    principal = limited(requests=5)
    left, refusal = await workers.one.reserve(principal, ["a", "b", "c"], requests=3)
    assert (left.requests, refusal) == (2, None)
    assert (await workers.one.reserve(principal, ["d", "e", "f"], requests=3))[1] is not None
    await workers.pass_time(principal, 60)
    what, seconds = refused((await workers.one.reserve(principal, list("ghijkl"), requests=6))[1])
    assert (what, seconds) == ("requests_per_minute", None)


async def test_whatever_comes_and_goes_no_more_run_at_once_than_may_and_nothing_is_left_held(
    workers: Workers,
) -> None:
    principal = limited(runs=5, tokens=10**9, usd="1000")
    dice = random.Random(16)  # noqa: S311
    in_flight = most = begun = 0

    async def run(counts: LimitCounts, cost: Cost) -> None:
        nonlocal in_flight, most, begun
        run_id = uuid.uuid4().hex
        if (await counts.reserve(principal, [run_id]))[1] is not None:
            return
        in_flight, begun = in_flight + 1, begun + 1
        most = max(most, in_flight)
        for _ in range(dice.randrange(10)):
            await asyncio.sleep(0)
        in_flight -= 1
        await counts.settle(principal.name, cost, run_id=run_id, reserved=ESTIMATE)

    for _ in range(20):
        await asyncio.gather(
            *(run(dice.choice((workers.one, workers.other)), Cost(700, 11)) for _ in range(20))
        )
    assert most == 5
    assert await workers.held(principal) == (0, 0, 0)
    assert await workers.used(principal) == Cost(700 * begun, 11 * begun)


async def test_of_a_budget_an_estimate_is_reserved_and_the_true_cost_is_settled(workers: Workers) -> None:
    principal = limited(tokens=2_500)
    for run_id in ("a", "b"):
        assert (await workers.one.reserve(principal, [run_id]))[1] is None
    # Only what runs reserve is in the way: it may be free again in a moment.
    left, refusal = await workers.other.reserve(principal, ["c"])
    assert refused(refusal) == ("tokens_per_day", AGAIN_SECONDS)
    assert left.tokens == 500
    await workers.one.settle(principal.name, Cost(300, 0), run_id="a", reserved=ESTIMATE)
    left, refusal = await workers.other.reserve(principal, ["c"])
    assert (refusal, left.tokens) == (None, 200)
    for run_id in ("b", "c"):
        await workers.one.settle(principal.name, Cost(1_900, 0), run_id=run_id, reserved=ESTIMATE)
    # Now it is used up, and there is more when the day ends.
    left, refusal = await workers.other.reserve(principal, ["d"])
    what, seconds = refused(refusal)
    assert what == "tokens_per_day" and seconds is not None and 0 < seconds <= 86_400
    assert left.tokens == 0


async def test_money_is_counted_by_the_month(workers: Workers) -> None:
    principal = limited(usd="0.01")
    assert (await workers.one.reserve(principal, ["a"]))[1] is None
    await workers.one.settle(principal.name, Cost(100, 10_001), run_id="a", reserved=ESTIMATE)
    left, refusal = await workers.other.reserve(principal, ["b"])
    what, seconds = refused(refusal)
    assert what == "usd_per_month" and seconds is not None and 0 < seconds <= 31 * 86_400
    assert '"us-cents-per-month";r=0' in left.headers()["RateLimit"]


async def test_a_budget_below_the_estimate_lets_one_run_begin(workers: Workers) -> None:
    principal = limited(tokens=400)
    assert (await workers.one.reserve(principal, ["a"]))[1] is None
    assert await workers.held(principal) == (1, 400, 3_000)
    assert (await workers.one.reserve(principal, ["b"]))[1] is not None


async def test_the_runs_of_a_dead_worker_are_given_back_and_count_with_what_was_reserved(
    workers: Workers, embedded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", scaled(0.5))
    dead = WorkerLease(embedded)
    await asyncio.to_thread(dead.start)
    principal = limited(runs=1, tokens=10_000)
    late = LimitCounts(workers.redis, dead.worker_id, ESTIMATE)
    assert (await late.reserve(principal, ["a"]))[1] is None
    assert (await workers.one.reserve(principal, ["b"]))[1] is not None
    dead._ending.set()  # as the death of its process would
    await asyncio.to_thread(dead._thread.join)
    async with asyncio.timeout(time_limit()):
        while (await workers.one.reserve(principal, ["b"]))[1] is not None:
            await asyncio.sleep(0.05)
    assert await workers.held(principal) == (1, ESTIMATE.tokens, ESTIMATE.micro_usd)
    assert await workers.used(principal) == ESTIMATE
    # It had stood still, and lives: only what it has used beyond that is added.
    await late.settle(principal.name, Cost(1_200, 100), run_id="a", reserved=ESTIMATE)
    assert await workers.used(principal) == Cost(1_200, ESTIMATE.micro_usd)


@pytest.mark.parametrize(
    ("state", "holds"), [("queued", True), ("running", True), ("failed", False), (None, False)]
)
async def test_a_background_run_holds_its_share_as_long_as_it_goes_on_whoever_does_it(
    workers: Workers, state: str | None, holds: bool
) -> None:
    principal, run_id = limited(runs=1), uuid.uuid4().hex
    assert (await workers.one.reserve(principal, [run_id], background=True))[1] is None
    # Its record is written a moment later.
    assert (await workers.other.reserve(principal, ["b"]))[1] is not None
    if state is not None:
        await workers.redis.hset(f"run:{run_id}", "state", state)  # type: ignore[misc]
    await workers.pass_time(principal, BEGINNING_MS / 1_000 + 1)
    assert ((await workers.other.reserve(principal, ["b"]))[1] is not None) is holds
    await workers.redis.delete(f"run:{run_id}")


async def test_a_run_that_is_put_back_into_the_queue_is_not_counted_twice(workers: Workers) -> None:
    principal = limited(runs=2)
    for _ in range(3):
        assert (await workers.one.reserve(principal, ["a"], background=True))[1] is None
    assert (await workers.held(principal))[0] == 1
