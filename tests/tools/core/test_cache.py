"""The cache that workers share, on a real Redis. Each Cache object stands for a worker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.pace import time_limit
from tools.core import cache as module
from tools.core.cache import Cache
from tools.core.redis_client import open_redis
from tools.core.settings import Settings
from tools.core.slots import WorkSlots

TTL_SECONDS = 600
NewWorker = Callable[..., Cache]


@pytest.fixture
async def redis(embedded: Settings) -> AsyncIterator[Redis]:
    async with open_redis(embedded, retrying=False) as client:
        yield client


@pytest.fixture
async def worker(redis: Redis) -> AsyncIterator[NewWorker]:
    """Makes workers that share the test's cache."""
    name = f"test-{uuid.uuid4().hex}"
    opened: list[Cache] = []

    def new(client: Redis = redis, *, slots: int = 64) -> Cache:
        opened.append(Cache(client, name, slots=slots, value_bytes=100, ttl_seconds=TTL_SECONDS))
        return opened[-1]

    yield new
    for one in opened:
        await one.aclose()


class Making:
    """Makes values, each when it is let, and counts."""

    def __init__(self, value: bytes = b"made") -> None:
        self.value = value
        self.begun = 0
        self.stale: list[bytes | None] = []
        self.began = asyncio.Event()
        self.let = asyncio.Event()

    async def __call__(self, stale: bytes | None) -> bytes:
        self.begun += 1
        self.stale.append(stale)
        self.began.set()
        await asyncio.wait_for(self.let.wait(), time_limit())
        return self.value


def at_once(value: bytes = b"made") -> Making:
    making = Making(value)
    making.let.set()
    return making


class Failing(Making):
    """Fails, when it is let."""

    async def __call__(self, stale: bytes | None) -> bytes:
        await super().__call__(stale)
        raise RuntimeError("the leader's own")


async def never(_: bytes | None) -> bytes:
    raise AssertionError("made again")


async def others_wait(number: int) -> None:
    """Lets those who came wait: they do as soon as they have had their turn."""
    for _ in range(number + 2):
        await asyncio.sleep(0)


async def test_a_value_is_made_once_for_all_workers(worker: NewWorker) -> None:
    one, other = worker(), worker()
    assert await one.get_or_make(["a"], 1, at_once(b"\x00\xff")) == b"\x00\xff"
    assert await one.get_or_make(["a"], 1, never) == b"\x00\xff"
    assert await other.get_or_make(["a"], 1, never) == b"\x00\xff"
    assert (one.counts.misses, one.counts.hits, other.counts.hits) == (1, 1, 1)
    assert other.report()["hit_rate"] == 1


async def test_what_is_asked_for_at_the_same_moment_is_made_once_over_all_workers(worker: NewWorker) -> None:
    workers = [worker(), worker()]
    making = Making()
    asking = [asyncio.create_task(workers[n % 2].get_or_make("a", 1, making)) for n in range(10)]
    await asyncio.wait_for(making.began.wait(), time_limit())
    making.let.set()
    assert await asyncio.wait_for(asyncio.gather(*asking), time_limit()) == [b"made"] * 10
    assert making.begun == 1
    assert sum(one.counts.misses for one in workers) == 1
    assert sum(one.counts.shared for one in workers) >= 8


@pytest.mark.parametrize("same_worker", [True, False])
async def test_when_the_one_who_makes_it_leaves_another_takes_over(
    worker: NewWorker, same_worker: bool
) -> None:
    one = worker()
    other = one if same_worker else worker()
    left, taken_over = Making(), at_once(b"another's")
    leader = asyncio.create_task(one.get_or_make("a", 1, left))
    await asyncio.wait_for(left.began.wait(), time_limit())
    waiting = [asyncio.create_task(other.get_or_make("a", 1, taken_over)) for _ in range(3)]
    await others_wait(3)
    leader.cancel()
    assert await asyncio.wait_for(asyncio.gather(*waiting), time_limit()) == [b"another's"] * 3
    assert taken_over.begun == 1
    assert leader.cancelled()


@pytest.mark.parametrize("same_worker", [True, False])
async def test_a_failure_is_the_leaders_own(worker: NewWorker, same_worker: bool) -> None:
    one = worker()
    other = one if same_worker else worker()
    failing = Failing()
    leader = asyncio.create_task(one.get_or_make("a", 1, failing))
    await asyncio.wait_for(failing.began.wait(), time_limit())
    waiting = [asyncio.create_task(other.get_or_make("a", 1, at_once())) for _ in range(3)]
    await others_wait(3)
    failing.let.set()
    assert await asyncio.wait_for(asyncio.gather(*waiting), time_limit()) == [b"made"] * 3
    with pytest.raises(RuntimeError):
        await leader


async def test_a_worker_that_died_is_waited_for_no_longer_than_its_lease(
    worker: NewWorker, redis: Redis
) -> None:
    dead, alive = worker(), worker()
    held = Making()
    leader = asyncio.create_task(dead.get_or_make("a", 1, held))
    await asyncio.wait_for(held.began.wait(), time_limit())
    [lease] = [key async for key in redis.scan_iter(match=f"{dead._prefix}:lease:*")]
    assert 0 < await redis.pttl(lease) <= module.LEASE_SECONDS * 1000
    await redis.delete(lease)  # as time does
    assert await alive.get_or_make("a", 1, at_once(b"of who lives")) == b"of who lives"
    # It was not dead, but late: what it made is its own, and does not replace what is kept.
    held.let.set()
    assert await leader == b"made"
    assert await alive.get_or_make("a", 1, never) == b"of who lives"


async def test_whoever_waits_too_long_makes_it_without_the_lease(
    worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = worker(), worker()
    held = Making()
    leader = asyncio.create_task(one.get_or_make("a", 1, held))
    await asyncio.wait_for(held.began.wait(), time_limit())
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.0)
    assert await asyncio.wait_for(one.get_or_make("a", 1, at_once(b"own")), time_limit()) == b"own"
    assert await asyncio.wait_for(other.get_or_make("a", 1, at_once(b"own")), time_limit()) == b"own"
    held.let.set()
    assert await leader == b"made"


async def test_another_version_is_made_anew_of_what_still_holds(worker: NewWorker) -> None:
    one = worker()
    await one.get_or_make("a", 1, at_once(b"old"))
    making = at_once(b"new")
    assert await one.get_or_make("a", 2, making) == b"new"
    assert making.stale == [b"old"]
    assert await worker().get_or_make("a", 2, never) == b"new"
    another_key = at_once()
    await worker(slots=1).get_or_make("x", 1, at_once(b"of x"))
    await worker(slots=1).get_or_make("y", 1, another_key)
    assert another_key.stale == [None]  # the same slot, and nothing of the other's


async def test_it_never_holds_more_than_its_slots_and_all_of_it_expires(
    worker: NewWorker, redis: Redis
) -> None:
    one = worker(slots=4)
    for number in range(40):
        await one.get_or_make(number, 1, at_once(b"%d" % number))
        assert await one.get_or_make(number, 1, never) == b"%d" % number
    keys = [key async for key in redis.scan_iter(match=f"{one._prefix}:*")]
    assert len(keys) == 4
    assert all([0 < await redis.ttl(key) <= TTL_SECONDS for key in keys])


async def test_what_is_too_large_is_not_kept(worker: NewWorker, redis: Redis) -> None:
    one = worker()
    assert len(await one.get_or_make("a", 1, at_once(b"x" * 101))) == 101
    assert [key async for key in redis.scan_iter(match=f"{one._prefix}:*")] == []


async def test_without_slots_each_makes_its_own(worker: NewWorker) -> None:
    one, making = worker(slots=0), at_once()
    for _ in range(2):
        assert await one.get_or_make("a", 1, making) == b"made"
    assert making.begun == 2


async def test_a_redis_that_is_gone_is_a_miss_and_told_once(
    worker: NewWorker, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_redis(Settings(redis_url="unix:///nowhere/redis.sock"), retrying=False) as gone:
        one = worker(gone)
        for _ in range(3):
            assert await one.get_or_make("a", 1, at_once()) == b"made"
        failing = Failing()
        failing.let.set()
        with pytest.raises(RuntimeError, match="own"):
            await one.get_or_make("a", 1, failing)
        await one.aclose()
    assert one.report()["warning"]
    assert (one.counts.misses, one.counts.hits) == (4, 0)
    assert [record.message for record in caplog.records].count("Redis fails a cache") == 1


async def test_a_full_redis_keeps_nothing_new_and_gives_what_it_has(worker: NewWorker, redis: Redis) -> None:
    one = worker()
    await one.get_or_make("a", 1, at_once(b"kept"))
    before = await redis.config_get("maxmemory")
    await redis.config_set("maxmemory", 1)
    try:
        assert await one.get_or_make("a", 1, never) == b"kept"
        for _ in range(2):
            assert await one.get_or_make("b", 1, at_once()) == b"made"
        assert one.report()["warning"]
    finally:
        await redis.config_set("maxmemory", before["maxmemory"])
    assert await one.get_or_make("b", 1, at_once()) == b"made"
    assert await one.get_or_make("b", 1, never) == b"made"
    assert one.report()["warning"] is None


async def test_a_run_that_waits_for_anothers_gives_its_turn_up(worker: NewWorker) -> None:
    """Else those who wait could keep the one from ending for whom they wait."""
    one, slots = worker(), WorkSlots(1)
    making = Making()
    leader = asyncio.create_task(one.get_or_make("a", 1, making))
    await asyncio.wait_for(making.began.wait(), time_limit())

    async def waits() -> Any:
        async with slots.slot() as slot:
            return await one.get_or_make("a", 1, never, slot)

    async def works() -> None:
        async with slots.slot():
            making.let.set()

    asking = asyncio.create_task(waits())
    await others_wait(1)
    await asyncio.wait_for(works(), time_limit())
    assert await asyncio.wait_for(asyncio.gather(leader, asking), time_limit()) == [b"made", b"made"]
