"""Admission: at most so many runs over all workers, and what happens to the others."""

from __future__ import annotations

import asyncio
import random
import resource
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from graph.sessions import lease as lease_module
from graph.sessions.lease import WorkerLease, open_lease
from graph.sessions.sessions import WORKING
from serve import open_files
from serve.admission import Admission
from serve.context import AppContext, open_app_context
from tests.graph.sessions.test_sessions import BACKEND, finished, generated
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import served
from tests.serve.processes import GENERATE, Worker, answer_of, code_of, hold
from tools.core.errors import OverloadedError
from tools.core.settings import Settings

HASTY_SECONDS = scaled(0.5)
AT_ONCE_SECONDS = scaled(1)


@pytest.fixture
async def redis(embedded: Settings) -> AsyncIterator[Redis]:
    assert embedded.redis_url is not None
    async with Redis.from_url(embedded.redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def own_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers of a test share no places with those of tests that run at the same time."""
    monkeypatch.setattr(lease_module, "WORKERS", f"workers of {uuid.uuid4().hex}")


@pytest.fixture
async def leases(settings: Settings) -> AsyncIterator[list[WorkerLease]]:
    """The leases of two workers."""
    async with open_lease(settings) as one, open_lease(settings) as other:
        yield [one, other]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that live a moment."""
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", HASTY_SECONDS)
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", HASTY_SECONDS / 10)


async def places_of_all(redis: Redis) -> int:
    """How many places all workers have, by what Redis knows."""
    values = [
        await redis.get(f"worker:{name.decode()}") for name in await redis.smembers(lease_module.WORKERS)
    ]  # type: ignore[misc]
    return sum(int(value) for value in values if value is not None)


async def test_all_workers_together_have_so_many_places(redis: Redis, leases: list[WorkerLease]) -> None:
    one, other = (Admission(redis, lease, 10) for lease in leases)
    for _ in range(7):
        await one.take(1)
    await other.take(3)
    for full in (one, other):
        began = time.monotonic()
        with pytest.raises(OverloadedError):
            await full.take(1)
        assert time.monotonic() - began < AT_ONCE_SECONDS
    one.give_back(1)
    async with asyncio.timeout(time_limit()):
        while other.taken < 4:
            with suppress(OverloadedError):
                await other.take(1)
    assert await places_of_all(redis) <= 10


async def test_beyond_the_short_queue_the_answer_comes_without_waiting(
    redis: Redis, leases: list[WorkerLease]
) -> None:
    admission = Admission(redis, leases[0], 1)
    await admission.take(1)
    waiting = [asyncio.create_task(admission.take(1)) for _ in range(50)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    admission.give_back(1)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    # One place became free, and one of those that wait has it.
    assert outcomes.count(None) == 1
    assert sum(isinstance(outcome, OverloadedError) for outcome in outcomes) == 49


async def test_a_request_for_more_places_than_there_are_takes_all(
    redis: Redis, leases: list[WorkerLease]
) -> None:
    admission = Admission(redis, leases[0], 3)
    await admission.take(10)
    assert admission.taken == 3
    admission.give_back(10)
    assert admission.taken == 0


async def test_the_places_of_a_dead_worker_are_free_when_its_lease_ends(
    hasty: None, redis: Redis, settings: Settings, leases: list[WorkerLease]
) -> None:
    dead = WorkerLease(settings)
    await asyncio.to_thread(dead.start)
    await Admission(redis, dead, 5).take(5)
    living = Admission(redis, leases[0], 5)
    with pytest.raises(OverloadedError):
        await living.take(1)
    dead._ending.set()  # as the death of its process would
    dead._thread.join()
    async with asyncio.timeout(time_limit()):
        while living.taken < 5:
            with suppress(OverloadedError):
                await living.take(5)


async def test_whatever_comes_and_goes_the_places_are_never_more_and_all_come_back(
    redis: Redis, leases: list[WorkerLease]
) -> None:
    limit = 200
    workers = [Admission(redis, lease, limit) for lease in leases]
    dice = random.Random(13)  # noqa: S311
    in_flight = most = 0

    async def request(worker: Admission, runs: int, seconds: float) -> None:
        nonlocal in_flight, most
        try:
            await worker.take(runs)
        except OverloadedError:
            return
        in_flight += runs
        most = max(most, in_flight)
        try:
            await asyncio.sleep(seconds)
        finally:
            in_flight -= runs
            worker.give_back(runs)

    requests = []
    for _ in range(600):
        runs = dice.choice((1, 1, 1, 1, 10))
        request_ = request(dice.choice(workers), runs, dice.random() * 0.3)
        requests.append(asyncio.create_task(request_))
        if dice.random() < 0.2:
            dice.choice(requests).cancel()
        if dice.random() < 0.3:
            await asyncio.sleep(0)
    await asyncio.gather(*requests, return_exceptions=True)
    assert limit / 2 < most <= limit
    assert [worker.taken for worker in workers] == [0, 0]
    async with asyncio.timeout(time_limit()):
        while await places_of_all(redis) > 2 * 2 * (limit // 64):
            await asyncio.sleep(0.02)
    await workers[1].take(limit - 2 * (limit // 64))


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[Worker]:
    """A service that has a place for two runs."""
    async with (
        served(settings.model_copy(update={"concurrency": 2})) as address,
        httpx.AsyncClient(base_url=address, timeout=time_limit()) as client,
    ):
        yield Worker(None, client)


def requests_to(session_id: str) -> list[tuple[str, dict[str, Any]]]:
    """A request to each route that runs something."""
    regenerate = {"session_id": session_id}
    return [
        (f"/{name}/{route}", {"inputs": [given]} if route == "batch" else {"input": given})
        for name, given in (("generate", GENERATE), ("regenerate", regenerate))
        for route in ("invoke", "batch", "stream", "stream_events")
    ]


async def in_flight(worker: Worker) -> int:
    report = (await worker.client.get("/readyz")).json()
    return int(report["parts"]["runs"]["in_flight"])


async def until_in_flight(worker: Worker, number: int) -> None:
    async with asyncio.timeout(time_limit()):
        while await in_flight(worker) != number:
            await asyncio.sleep(0.02)


async def test_every_route_refuses_at_once_what_is_too_much(narrow: Worker, offline: Offline) -> None:
    session_id = (await narrow.generated())["session_id"]
    await hold(offline, "JobVerdicts")
    held = asyncio.create_task(narrow.client.post("/generate/batch", json={"inputs": [GENERATE, GENERATE]}))
    await until_in_flight(narrow, 2)
    for path, body in requests_to(session_id):
        began = time.monotonic()
        refused = await narrow.client.post(path, json=body)
        assert (refused.status_code, code_of(refused)) == (503, "overloaded"), path
        assert int(refused.headers["retry-after"]) >= 1
        assert time.monotonic() - began < AT_ONCE_SECONDS, path
    # What costs no run is answered.
    assert (await narrow.client.get(f"/sessions/{session_id}")).status_code == 200
    held.cancel()
    await until_in_flight(narrow, 0)
    await offline.reset()
    answer_of(await narrow.ask("/generate/invoke", GENERATE))


async def test_a_place_comes_back_however_a_request_ends(narrow: Worker, offline: Offline) -> None:
    session_id = (await narrow.generated())["session_id"]
    assert (await narrow.client.post("/generate/invoke", json={"input": {}})).status_code == 422
    assert (await narrow.ask("/regenerate/invoke", {"session_id": "none"})).status_code == 404
    for path, body in requests_to(session_id):
        response = await narrow.client.post(path, json=body)
        assert response.status_code == 200, response.text
    await until_in_flight(narrow, 0)
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    for path, body in requests_to(session_id):
        left = asyncio.create_task(narrow.client.post(path, json=body))
        await until_in_flight(narrow, 1)
        left.cancel()
        await until_in_flight(narrow, 0)
    await offline.in_flight(0)


async def test_no_connection_leaks_when_many_runs_are_cancelled(settings: Settings, offline: Offline) -> None:
    number = 120
    async with open_app_context(settings) as app_context:
        await generated(app_context)
        idle = in_use(app_context)
        await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
        for wait in (0, scaled(0.1), scaled(1)):
            runs = [
                asyncio.create_task(finished(app_context.sessions.generate(BACKEND, "ko")))
                for _ in range(number)
            ]
            await asyncio.sleep(wait)
            for run in runs:
                run.cancel()
            await asyncio.gather(*runs, return_exceptions=True)
            async with asyncio.timeout(time_limit()):
                while app_context.sessions._tasks:
                    await asyncio.sleep(0.02)
        await offline.in_flight(0)
        await offline.reset()
        await until_in_use(app_context, idle)
        # All slots are free again: so many work at the same time as before.
        await asyncio.gather(*(generated(app_context) for _ in range(2 * WORKING)))
        await until_in_use(app_context, idle)


def in_use(app_context: AppContext) -> dict[str, int]:
    """The connections of each pool that somebody holds; the watcher of the prompts holds one of Redis."""
    services = app_context.services
    pool = services.pool.get_stats()
    return {
        "redis": len(services.redis.connection_pool._in_use_connections),
        "postgresql": pool["pool_size"] - pool["pool_available"],
    }


async def until_in_use(app_context: AppContext, wanted: dict[str, int]) -> None:
    """Waits until no more than so many are held: the pool looks at a connection before it lends it again, and
    the watcher of the prompts may just be without its own."""
    async with asyncio.timeout(time_limit()):
        while any(held > wanted[store] for store, held in in_use(app_context).items()):
            await asyncio.sleep(0.02)


async def test_more_runs_than_there_are_connections_to_the_stores_are_all_answered(
    settings: Settings, offline: Offline
) -> None:
    few = settings.model_copy(update={"redis_pool": WORKING, "database_pool": 2})
    async with AsyncExitStack() as stack:
        app_context = await stack.enter_async_context(open_app_context(few))
        await asyncio.gather(*(generated(app_context) for _ in range(100)))


def test_the_limit_of_open_files_is_raised_and_a_low_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [1_024, 2_048]

    def set_limits(_: int, wanted: tuple[int, int]) -> None:
        limits[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    assert open_files.raise_limit() == 2_048
    assert open_files.report(Settings(concurrency=500))["warning"] is None
    assert "CHECKERBOARD_CONCURRENCY=4000" in open_files.report(Settings())["warning"]
