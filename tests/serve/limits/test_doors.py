"""Limits as those who call meet them: at every door, on two workers of one service."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError
from redis.asyncio import Redis

from serve.keys.store import Limits, create_key
from serve.limits.holds import INPUT_TOKENS, OUTPUT_TOKENS
from tests.databases import cloned
from tests.offline import FOR_EVER, Offline
from tests.pace import time_limit
from tests.serve.conftest import served
from tests.serve.keys import bearer, database
from tests.serve.limits import held
from tests.serve.processes import (
    GENERATE,
    LOCK_FREE_SECONDS,
    PROFILE,
    answer_of,
    code_of,
    hold,
    working,
)
from tools.core.settings import Settings

KEY = "a key of the environment"
KEYS = SecretStr(f"web:{hashlib.sha256(KEY.encode()).hexdigest()}")
SEARCH = "/postings/search?q=Java&k=1"
OWN = {"sec-fetch-site": "same-origin"}
GENERATION = {"kind": "generate", "input": GENERATE}
AGUI = {
    "threadId": "a",
    "runId": "b",
    "state": {"profile": PROFILE},
    "messages": [],
    "tools": [],
    "context": [],
}
RUNNING_DOORS: list[tuple[str, dict[str, Any]]] = [
    ("/generate/invoke", {"input": GENERATE}),
    ("/generate/batch", {"inputs": [GENERATE]}),
    ("/generate/stream", {"input": GENERATE}),
    ("/generate/stream_events", {"input": GENERATE}),
    ("/runs", GENERATION),
    ("/agui/run", AGUI),
    ("/profiles/from-resume", {"text": "백엔드 개발자\nJava, Spring Boot"}),
]


@pytest.fixture(scope="module")
async def keyed(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings of a database of its own: where a key was ever made, callers need one from then on."""
    async with cloned(embedded, samples_template) as own:
        yield own


@pytest.fixture(scope="module")
async def addresses(keyed: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two workers of a service with keys that lets visitors in, two requests a minute from each address."""
    limits = {"visitor_requests_per_minute": 2, "visitor_runs_at_once": 1}
    own = keyed.model_copy(update={"api_keys": KEYS, "visitors": True, **limits})
    async with served(own) as one, served(own) as other:
        yield one, other


@asynccontextmanager
async def calling(
    keyed: Settings, addresses: tuple[str, str], limits: Limits
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Makes a key with limits; yields a client of each worker, as soon as both know it."""
    async with database(keyed) as connection:
        key = await create_key(connection, f"caller-{uuid.uuid4().hex}", "client", limits)
    async with (
        httpx.AsyncClient(base_url=addresses[0], timeout=time_limit(), headers=bearer(key)) as one,
        httpx.AsyncClient(base_url=addresses[1], timeout=time_limit(), headers=bearer(key)) as other,
        asyncio.timeout(time_limit()),
    ):
        for client in (one, other):
            while (await client.get("/prompts")).status_code == 401:
                await asyncio.sleep(0.05)
        yield one, other


@pytest.fixture
async def redis(keyed: Settings) -> AsyncIterator[Redis]:
    assert keyed.redis_url is not None
    async with Redis.from_url(keyed.redis_url) as client:
        yield client


async def until_held(redis: Redis, number: int) -> None:
    async with asyncio.timeout(time_limit()):
        while await held(redis) != number:
            await asyncio.sleep(0.02)


async def used_tokens(redis: Redis) -> int:
    keys = [key async for key in redis.scan_iter(match="limit-tokens:*")]
    return sum([int(await redis.get(key) or 0) for key in keys])


async def test_a_burst_at_two_workers_is_let_in_as_often_as_the_key_may(
    keyed: Settings, addresses: tuple[str, str]
) -> None:
    async with calling(keyed, addresses, Limits(requests_per_minute=6)) as clients:
        answers = await asyncio.gather(*(clients[i % 2].get(SEARCH) for i in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 14
    for answer in answers:
        assert answer.headers["ratelimit-policy"] == '"requests-per-minute";q=6;w=60'
    lefts = sorted(answer.headers["ratelimit"].partition(";")[2].partition(";")[0] for answer in answers)
    assert lefts == ["r=0"] * 15 + [f"r={left}" for left in range(1, 6)]
    refused = next(answer for answer in answers if answer.status_code == 429)
    error = refused.json()["error"]
    assert error["code"] == "rate_limited"
    assert error["details"]["limit"] == "requests_per_minute"
    assert refused.headers["retry-after"] == str(error["details"]["retry_after_seconds"])
    assert 50 <= int(refused.headers["retry-after"]) <= 60


@pytest.mark.parametrize(("path", "body"), RUNNING_DOORS, ids=[path for path, _ in RUNNING_DOORS])
async def test_each_door_counts_and_gives_back_what_its_run_held(
    keyed: Settings, addresses: tuple[str, str], redis: Redis, path: str, body: dict[str, Any]
) -> None:
    before = await held(redis)
    async with calling(keyed, addresses, Limits(None, 1, 10**9)) as (one, other):
        # The next may come as soon as the last was answered.
        for client in (one, other, one):
            response = await client.post(path, json=body)
            assert response.status_code in (200, 202), response.text
            assert '"runs-at-once";r=0' in response.headers["ratelimit"]
            if path == "/runs":
                await watched(client, response.json()["run_id"])
    await until_held(redis, before)


@pytest.mark.parametrize(("path", "body"), RUNNING_DOORS, ids=[path for path, _ in RUNNING_DOORS])
async def test_each_door_refuses_who_has_no_request_left(
    keyed: Settings, addresses: tuple[str, str], path: str, body: dict[str, Any]
) -> None:
    async with calling(keyed, addresses, Limits(requests_per_minute=1)) as (one, other):
        assert (await one.get(SEARCH)).status_code == 200
        refused = await other.post(path, json=body)
    assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
    assert refused.json()["error"]["details"]["limit"] == "requests_per_minute"
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def watched(client: httpx.AsyncClient, run_id: str) -> None:
    """Reads a run's events to the end."""
    async with client.stream("GET", f"/runs/{run_id}/events") as response:
        async for _ in response.aiter_bytes():
            pass


async def test_what_a_run_has_cost_is_used_and_what_was_reserved_beyond_that_is_free(
    keyed: Settings, addresses: tuple[str, str], redis: Redis
) -> None:
    async with calling(keyed, addresses, Limits(tokens_per_day=10**6)) as (one, other):
        before, tokens = await held(redis), await used_tokens(redis)
        answer = await one.post("/generate/invoke", json={"input": GENERATE})
        answer_of(answer)
        spent = await used_tokens(redis) - tokens
        assert 0 < spent < 10**6
        assert await held(redis) == before
        run = (await other.post("/runs", json=GENERATION)).json()
        await watched(other, run["run_id"])
        assert await held(redis) == before
        assert await used_tokens(redis) - tokens > spent


@pytest.mark.parametrize("path", ["/generate/invoke", "/generate/stream", "/runs"])
async def test_a_run_that_fails_or_is_cancelled_gives_back_what_it_held(
    keyed: Settings, addresses: tuple[str, str], redis: Redis, offline: Offline, path: str
) -> None:
    body = GENERATION if path == "/runs" else {"input": GENERATE}
    before = await held(redis)
    async with calling(keyed, addresses, Limits(runs_at_once=1)) as (one, other):
        await offline.behave(faults=[{"kind": "server_error"}])
        failed = await one.post(path, json=body)
        if path == "/runs":
            await watched(one, failed.json()["run_id"])
        await until_held(redis, before)
        await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
        asked = asyncio.create_task(one.post(path, json=body))
        await until_held(redis, before + 1)
        refused = await other.post("/generate/invoke", json={"input": GENERATE})
        assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
        assert refused.json()["error"]["details"]["limit"] == "runs_at_once"
        assert refused.headers["retry-after"] == "5"
        if path == "/runs":
            run_id = (await asked).json()["run_id"]
            assert (await other.delete(f"/runs/{run_id}")).json()["state"] == "cancelled"
        else:
            asked.cancel()
        await until_held(redis, before)
        await offline.reset()
        answer_of(await other.post("/generate/invoke", json={"input": GENERATE}))
        if path == "/runs":
            resumed = await one.post(f"/runs/{run_id}/resume")
            assert resumed.status_code == 202, resumed.text
            assert '"runs-at-once";r=0' in resumed.headers["ratelimit"]
            await watched(one, run_id)
            await until_held(redis, before)


async def test_what_a_killed_worker_s_runs_held_is_free_when_its_lease_is_over_and_counts_as_used(
    keyed: Settings, redis: Redis, offline: Offline
) -> None:
    async with database(keyed) as connection:
        key = await create_key(connection, f"caller-{uuid.uuid4().hex}", "client", Limits(None, 1, 10**6))
    async with working(keyed) as doomed, working(keyed) as other:
        for worker in (doomed, other):
            worker.client.headers.update(bearer(key))
        before, tokens = await held(redis), await used_tokens(redis)
        await hold(offline, "ProjectPlan")
        asked = asyncio.create_task(doomed.ask("/generate/invoke", GENERATE))
        await until_held(redis, before + 1)
        await doomed.kill()
        await asyncio.wait([asked])
        assert isinstance(asked.exception(), httpx.TransportError)
        await offline.reset()
        refused = await other.ask("/generate/invoke", GENERATE)
        assert (refused.status_code, code_of(refused)) == (429, "rate_limited")
        async with asyncio.timeout(LOCK_FREE_SECONDS):
            while (response := await other.ask("/generate/invoke", GENERATE)).status_code == 429:
                assert response.json()["error"]["details"]["limit"] == "runs_at_once"
                await asyncio.sleep(0.1)
        answer_of(response)
        await until_held(redis, before)
        # Nobody knows what it has cost: what was reserved, and then what the second has cost.
        assert await used_tokens(redis) - tokens > INPUT_TOKENS + OUTPUT_TOKENS


async def test_a_request_that_is_not_valid_holds_nothing(
    keyed: Settings, addresses: tuple[str, str], redis: Redis
) -> None:
    before = await held(redis)
    async with calling(keyed, addresses, Limits(runs_at_once=1)) as (one, _):
        for _ in range(2):
            assert (await one.post("/generate/invoke", json={"input": {}})).status_code == 422
        await until_held(redis, before)


async def test_a_key_of_the_environment_has_the_default_which_here_is_none(
    addresses: tuple[str, str],
) -> None:
    async with httpx.AsyncClient(base_url=addresses[0], timeout=time_limit(), headers=bearer(KEY)) as client:
        for _ in range(5):
            response = await client.get(SEARCH)
            assert response.status_code == 200
            assert "ratelimit" not in response.headers


@asynccontextmanager
async def visiting(address: str, forwarded: str) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor of the pages, who comes by the proxy on this machine from another address."""
    headers = OWN | {"x-forwarded-for": forwarded}
    async with httpx.AsyncClient(base_url=address, timeout=time_limit(), headers=headers) as client:
        assert (await client.get("/")).status_code == 200
        yield client


async def test_visitors_share_the_limit_of_their_address_whatever_their_cookies(
    addresses: tuple[str, str], redis: Redis
) -> None:
    async with (
        visiting(addresses[0], "198.51.100.7") as ada,
        visiting(addresses[1], "198.51.100.7") as bob,
        visiting(addresses[1], "198.51.100.8") as eve,
    ):
        assert [(await client.get(SEARCH)).status_code for client in (ada, bob, ada, bob)] == [
            200,
            200,
            429,
            429,
        ]
        assert (await eve.get(SEARCH)).status_code == 200
        page = await bob.get("/search?q=Java&lang=en")
        assert page.status_code == 429
        assert int(page.headers["retry-after"]) > 0
        assert "used what you may" in page.text
    # Nobody finds out from Redis who they were.
    assert not [key async for key in redis.scan_iter(match="limit-*198.51.100*")]


async def test_of_an_ipv6_address_the_subscriber_s_part_counts(addresses: tuple[str, str]) -> None:
    statuses = []
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2::3", "2001:db8:1:3::1"):
        async with visiting(addresses[0], host) as client:
            statuses.append((await client.get(SEARCH)).status_code)
    assert statuses == [200, 200, 429, 200]


async def test_what_a_client_itself_writes_into_the_header_is_not_believed(
    addresses: tuple[str, str],
) -> None:
    """A proxy puts the address that it sees behind what came: the last that is no proxy's counts."""
    statuses = []
    for made_up in ("192.0.2.1", "192.0.2.2", "127.0.0.1, 192.0.2.3"):
        async with visiting(addresses[0], f"{made_up}, 198.51.100.9") as client:
            statuses.append((await client.get(SEARCH)).status_code)
    assert statuses == [200, 200, 429]


async def test_without_a_trusted_proxy_the_header_says_nothing(keyed: Settings) -> None:
    limits = {"trusted_proxies": (), "visitor_requests_per_minute": 2}
    statuses = []
    async with served(keyed.model_copy(update={"api_keys": KEYS, "visitors": True, **limits})) as address:
        for number in range(4):
            async with visiting(address, f"203.0.113.{number}") as client:
                statuses.append((await client.get(SEARCH)).status_code)
    assert statuses == [200, 200, 429, 429]


async def test_on_this_machine_alone_nobody_is_limited(client: httpx.AsyncClient, redis: Redis) -> None:
    answers = [await client.get(SEARCH) for _ in range(3)]
    assert all("ratelimit" not in answer.headers for answer in answers)


@pytest.mark.parametrize("wrong", ["proxy.example.com", "*", "10.0.0.0/99"])
def test_a_proxy_is_named_by_its_address_or_network(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKERBOARD_TRUSTED_PROXIES", f"10.0.0.0/8 {wrong}")
    with pytest.raises(ValidationError, match="no address or network"):
        Settings()
    monkeypatch.setenv("CHECKERBOARD_TRUSTED_PROXIES", "none")
    assert Settings().trusted_proxies == ()
