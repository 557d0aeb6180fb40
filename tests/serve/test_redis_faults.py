"""A Redis that stands still, dies, or is full, and sessions whose time is over.

The Redis is this module's own: its supervisor restarts it, and no other test is disturbed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from local.servers import embedded_servers
from local.servers.files import read_state, server_files
from serve.client import Client
from serve.limits.holds import INPUT_TOKENS, OUTPUT_TOKENS
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.places import passing_folder
from tests.serve.conftest import client_of
from tests.serve.limits import held
from tests.serve.processes import (
    GENERATE,
    PROFILE,
    Worker,
    answer_of,
    answered_calls,
    code_of,
    hold,
    mentions,
    slow,
    working,
)
from tests.serve.test_client import followed
from tools.core.contracts import Profile
from tools.core.settings import Settings

PERSON = Profile.model_validate(PROFILE)
TTL_SECONDS = round(scaled(2))
"""Whole seconds: Redis counts a session's life in them."""
FROZEN_SECONDS = scaled(20)
"""Within this every request to a worker whose Redis stands still is answered: a little more than one
command's limit (`tools.core.redis_client.SOCKET_SECONDS`), not many of them one after the other."""


@pytest.fixture(scope="module")
def own_redis(embedded: Settings) -> Iterator[Settings]:
    """A Redis in a home of its own."""
    with passing_folder() as folder:
        # The rest is somebody else's, so that only a Redis is started in this home.
        given = Settings(home=folder, database_url="postgresql://", openai_api_key=SecretStr("unused"))
        with embedded_servers(given) as settings:
            yield settings


@pytest.fixture(scope="module")
async def redis(own_redis: Settings) -> AsyncIterator[Redis]:
    assert own_redis.redis_url is not None
    async with Redis.from_url(own_redis.redis_url, socket_timeout=time_limit()) as client:
        yield client


@pytest.fixture(scope="module")
async def worker(settings: Settings, own_redis: Settings) -> AsyncIterator[Worker]:
    """A worker on this module's Redis, a process of its own; what happens to that, it is never
    restarted."""
    async with working(settings, REDIS_URL=own_redis.redis_url or "") as running:
        yield running


@pytest.fixture(scope="module")
async def hasty(settings: Settings, own_redis: Settings) -> AsyncIterator[Worker]:
    """A worker whose sessions live seconds."""
    update = {"redis_url": own_redis.redis_url, "session_ttl_minutes": TTL_SECONDS / 60}
    async with client_of(settings.model_copy(update=update)) as client:
        yield Worker(None, client)


def server_pid(own_redis: Settings) -> int:
    """The process of this module's Redis."""
    state = read_state(server_files("redis", own_redis.home).state)
    assert state is not None
    assert state.running is not None
    return state.running.pid


@asynccontextmanager
async def frozen(own_redis: Settings) -> AsyncIterator[None]:
    """Stops the Redis for the duration; its connections stay open."""
    pid = server_pid(own_redis)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def killed(own_redis: Settings, redis: Redis) -> None:
    """Kills the Redis and waits until its supervisor has started it again."""
    pid = server_pid(own_redis)
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(time_limit()):
        while True:
            try:
                if server_pid(own_redis) != pid and await redis.ping():
                    return
            except (RedisError, AssertionError):
                pass
            await asyncio.sleep(0.05)


async def ready_again(worker: Worker) -> None:
    """Waits until the worker is ready: what was asked meanwhile may have to come to its end."""
    async with asyncio.timeout(time_limit()):
        while (await worker.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


async def not_ready(worker: Worker, said: str) -> None:
    """Waits until `/readyz` says this of Redis: on a loaded machine it may not know within its second."""
    async with asyncio.timeout(time_limit()):
        while said not in (ready := await worker.client.get("/readyz")).text:
            await asyncio.sleep(0.1)
    assert ready.status_code == 503
    assert said in ready.json()["parts"]["redis"]["message"]


async def test_who_is_limited_is_refused_meanwhile_and_what_a_run_held_is_settled_afterwards(
    settings: Settings, own_redis: Settings, redis: Redis, offline: Offline
) -> None:
    limits = {"CHECKERBOARD_VISITOR_RUNS_AT_ONCE": "1", "CHECKERBOARD_VISITOR_TOKENS_PER_DAY": "1000000"}
    async with working(settings, REDIS_URL=own_redis.redis_url or "", **limits) as limited:
        await hold(offline, "ProjectPlan")
        left = asyncio.create_task(limited.ask("/generate/invoke", GENERATE))
        await offline.working_on("ProjectPlan")
        assert await held(redis) == 1
        async with frozen(own_redis), asyncio.timeout(2 * FROZEN_SECONDS):
            left.cancel()
            refused = await limited.ask("/generate/invoke", GENERATE)
            assert (refused.status_code, code_of(refused)) == (503, "store_unavailable")
            while (parts := (await limited.client.get("/readyz")).json()["parts"])["limits"]["ok"]:
                await asyncio.sleep(0.1)
            assert "it is told again" in parts["limits"]["message"]
        await ready_again(limited)
        async with asyncio.timeout(time_limit()):
            while await held(redis):
                await asyncio.sleep(0.05)
            while not (await limited.client.get("/readyz")).json()["parts"]["limits"]["ok"]:
                await asyncio.sleep(0.05)
        [used] = [key async for key in redis.scan_iter(match="limit-tokens:*")]
        # What was answered before it was left: not what was reserved.
        assert 0 < int(await redis.get(used) or 0) < INPUT_TOKENS + OUTPUT_TOKENS
        await offline.reset()
        answer_of(await limited.ask("/generate/invoke", GENERATE))


async def turns(worker: Worker, session_id: str) -> int:
    return len((await worker.session(session_id))["history"])


async def lives(redis: Redis, session_id: str) -> dict[str, float]:
    """How many seconds each key of the session still has; below 0 where it never ends."""
    return {key: await redis.pttl(key) / 1000 for key in await mentions(redis, session_id)}


async def test_a_short_stop_of_redis_is_waited_for(
    worker: Worker, own_redis: Settings, offline: Offline
) -> None:
    session_id = (await worker.generated())["session_id"]
    await offline.reset()
    await slow(offline, scaled(0.4))
    request = asyncio.create_task(worker.ask("/regenerate/invoke", {"session_id": session_id}))
    await offline.working_on("SubjectProposals")
    async with frozen(own_redis):
        await asyncio.wait([request], timeout=2)
        assert not request.done()
    async with asyncio.timeout(time_limit()):
        answer = answer_of(await request)
    assert (await worker.session(session_id))["project"] == answer["project"]
    assert (await offline.calls())["by_schema"]["SubjectProposals"] == 1


async def test_a_redis_that_stands_still_ends_in_a_clear_error_and_then_serves_again(
    worker: Worker, own_redis: Settings, offline: Offline
) -> None:
    session_id = (await worker.generated())["session_id"]
    before = await worker.session(session_id)
    await offline.reset()
    await slow(offline, scaled(0.4))
    # One run has begun when Redis stops; the other requests come after that.
    requests = [asyncio.create_task(worker.ask("/regenerate/invoke", {"session_id": session_id}))]
    await offline.working_on("SubjectProposals")
    async with frozen(own_redis):
        requests += [
            asyncio.create_task(asking)
            for asking in (
                worker.ask("/generate/invoke", GENERATE),
                worker.ask("/generate/invoke", GENERATE, uuid.uuid4().hex),
                worker.ask("/regenerate/invoke", {"session_id": session_id}),
                worker.client.get(f"/sessions/{session_id}"),
                worker.client.delete(f"/sessions/{session_id}"),
            )
        ]
        assert (await worker.client.get("/readyz")).status_code == 503
        _, late = await asyncio.wait(requests, timeout=FROZEN_SECONDS)
    responses = [await request for request in requests]
    for response in responses:
        assert (response.status_code, code_of(response)) == (503, "store_unavailable"), response.text
    assert not late
    await ready_again(worker)
    await slow(offline, 0)
    assert (await worker.session(session_id))["history"] == before["history"]
    await worker.answered_once_free("/regenerate/invoke", {"session_id": session_id})
    assert await turns(worker, session_id) == 2


async def test_after_redis_was_killed_every_session_is_whole(
    worker: Worker, own_redis: Settings, redis: Redis
) -> None:
    sessions = [(await worker.generated())["session_id"] for _ in range(2)]
    await killed(own_redis, redis)
    await ready_again(worker)
    for session_id in sessions:
        await worker.answered_once_free("/regenerate/invoke", {"session_id": session_id})
        assert await turns(worker, session_id) == 2


async def test_a_redis_that_is_killed_under_a_run_leaves_no_half_a_session(
    worker: Worker, own_redis: Settings, redis: Redis, offline: Offline
) -> None:
    await slow(offline, scaled(1.5))
    request = asyncio.create_task(worker.ask("/generate/invoke", GENERATE))
    await offline.working_on("MarketSummary")
    await killed(own_redis, redis)
    async with asyncio.timeout(time_limit()):
        response = await request
    await slow(offline, 0)
    if response.status_code == 200:
        session_id = answer_of(response)["session_id"]
    else:
        assert (response.status_code, code_of(response)) == (503, "store_unavailable"), response.text
        session_id = response.json()["error"]["details"]["session_id"]
    # Told that it can be asked again, it can be.
    await worker.session(session_id)
    await worker.answered_once_free("/regenerate/invoke", {"session_id": session_id})
    for key, seconds in (await lives(redis, session_id)).items():
        assert seconds > 0, f"{key} would never go away"


async def test_background_runs_and_their_readers_outlive_a_redis_that_is_killed(
    worker: Worker, own_redis: Settings, redis: Redis, offline: Offline
) -> None:
    """A run that waits, and runs that are at work, ended and cancelled: none is lost, and none ends twice."""
    async with Client(str(worker.client.base_url)) as client:
        ended, cancelled = [await client.generate(PERSON) for _ in range(2)]
        await client.cancel(cancelled.run_id)
        before = await followed(client, ended.run_id)
        await offline.reset()
        await slow(offline, scaled(0.7))
        runs = [await client.generate(PERSON) for _ in range(3)]
        runs += [await client.regenerate(ended.session_id) for _ in range(2)]  # one waits for the other
        readers = [run.run_id for run in runs for _ in range(2)]
        following = [asyncio.create_task(followed(client, run_id)) for run_id in readers]
        for schema in ("JobVerdicts", "SubjectProposals"):
            await offline.working_on(schema)
            await killed(own_redis, redis)
        seen = await asyncio.gather(*following)
        for run_id, events in zip(readers, seen, strict=True):
            assert [event.type in {"result", "error"} for event in events].count(True) == 1
            assert events[-1].id
            # What a reader saw is what is told to one who comes now.
            assert events == (await followed(client, run_id))[: len(events)]
        assert await followed(client, ended.run_id) == before
        for run in (*runs, cancelled):
            if (state := await client.run(run.run_id)).state != "succeeded":
                assert state.error is not None
                assert state.error.code in {"store_unavailable", "run_cancelled"}
                await client.resume(run.run_id)
            last = (await followed(client, run.run_id))[-1]
            assert last.type == "result"
        assert [await turns(worker, run.session_id) for run in (ended, *runs[:3])] == [3, 1, 1, 1]


@pytest.mark.parametrize("moment", ["", "JobVerdicts", "ProjectPlan"])
async def test_a_full_redis_says_so_and_serves_again_when_it_has_room(
    worker: Worker, redis: Redis, offline: Offline, moment: str
) -> None:
    """`moment`: the call during which it fills up; none: before the request."""
    other = (await worker.generated())["session_id"]
    await offline.reset()
    await slow(offline, scaled(0.5) if moment else 0)
    key = uuid.uuid4().hex
    try:
        if not moment:
            await redis.config_set("maxmemory", 1)
        request = asyncio.create_task(worker.ask("/generate/invoke", GENERATE, key))
        if moment:
            await offline.working_on(moment)
            await redis.config_set("maxmemory", 1)
        async with asyncio.timeout(time_limit()):
            response = await request
        assert response.status_code == 503, response.text
        assert code_of(response) == "store_unavailable"
        assert "Redis is full" in response.json()["error"]["message"]
        assert (await worker.client.get(f"/sessions/{other}")).status_code == 200
        await not_ready(worker, "Redis is full")
        refused = await worker.ask("/regenerate/invoke", {"session_id": other})
        assert (refused.status_code, code_of(refused)) == (503, "store_unavailable")
    finally:
        await redis.config_set("maxmemory", 0)
    await slow(offline, 0)
    answer = await worker.answered_once_free("/generate/invoke", GENERATE, key)
    assert await turns(worker, answer["session_id"]) == 1
    await worker.answered_once_free("/regenerate/invoke", {"session_id": other})
    assert await turns(worker, other) == 2
    if moment == "ProjectPlan":  # the answer that could not be kept is asked for again, no other
        made = await answered_calls(offline)
        assert [made.count(schema) for schema in ("JobVerdicts", "MarketSummary")] == [1, 1]


async def test_a_session_can_be_forgotten_on_a_full_redis(worker: Worker, redis: Redis) -> None:
    session_id = (await worker.generated("full"))["session_id"]
    try:
        await redis.config_set("maxmemory", 1)
        assert (await worker.client.delete(f"/sessions/{session_id}")).status_code == 204
        again = await worker.client.delete(f"/sessions/{session_id}")
        assert (again.status_code, code_of(again)) == (404, "session_not_found")
    finally:
        await redis.config_set("maxmemory", 0)
    assert not await mentions(redis, session_id)


@pytest.mark.parametrize(
    ("command", "undo", "said"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "replica"),
        (
            ("ACL", "SETUSER", "default", "-json.set"),
            ("ACL", "SETUSER", "default", "+json.set"),
            "does not allow",
        ),
        (
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
            "replicas",
        ),
    ],
    ids=["a read-only replica", "no permission to write", "too few replicas"],
)
async def test_readiness_says_what_keeps_redis_from_being_written_to(
    worker: Worker, redis: Redis, command: tuple[str, ...], undo: tuple[str, ...], said: str
) -> None:
    await redis.execute_command(*command)
    try:
        await not_ready(worker, said)
        response = await worker.ask("/generate/invoke", GENERATE)
        assert (response.status_code, code_of(response)) == (503, "store_unavailable")
        assert said in response.json()["error"]["message"]
    finally:
        await redis.execute_command(*undo)
    await ready_again(worker)


@pytest.mark.parametrize(
    "options", ["decode_responses=True", "protocol=3&encoding=utf-16&socket_timeout=0.0001"]
)
async def test_options_of_the_url_change_nothing_of_what_answers_look_like(
    settings: Settings, own_redis: Settings, options: str
) -> None:
    redis_url = f"{own_redis.redis_url}&{options}"
    async with client_of(settings.model_copy(update={"redis_url": redis_url})) as client:
        worker = Worker(None, client)
        session_id = (await worker.generated("a key"))["session_id"]
        assert (await worker.session(session_id))["profile"]["desired_job"] == PROFILE["desired_job"]
        assert (await worker.generated("a key"))["session_id"] == session_id


async def test_a_key_whose_session_could_not_be_written_can_be_used_again(
    worker: Worker, redis: Redis
) -> None:
    """The same as a worker that dies between its two first writes."""
    key = uuid.uuid4().hex
    await redis.execute_command("ACL", "SETUSER", "default", "-hset")
    try:
        response = await worker.ask("/generate/invoke", GENERATE, key)
        assert (response.status_code, code_of(response)) == (503, "store_unavailable")
    finally:
        await redis.execute_command("ACL", "SETUSER", "default", "+hset")
    answer_of(await worker.ask("/generate/invoke", GENERATE, key))


async def test_nothing_of_a_session_is_left_after_its_time(
    hasty: Worker, redis: Redis, offline: Offline
) -> None:
    session_id = (await hasty.generated("ttl"))["session_id"]
    answer_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id}, "ttl 2"))
    # A turn that fails leaves pending writes, and what it was answered.
    await offline.behave(faults=[{"kind": "server_error", "schema": "ProjectPlan"}])
    assert code_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id})) == "model_unavailable"
    left = await lives(redis, session_id)
    assert len(left) > 1
    assert all(0 < seconds <= TTL_SECONDS for seconds in left.values()), left
    async with asyncio.timeout(TTL_SECONDS + scaled(1)):
        while await mentions(redis, session_id):
            await asyncio.sleep(0.1)
    given = {"session_id": session_id}
    streamed = await hasty.ask("/regenerate/stream", given)
    assert '"session_not_found"' in streamed.text
    for response in (
        await hasty.ask("/regenerate/invoke", given),
        await hasty.client.get(f"/sessions/{session_id}"),
        await hasty.client.delete(f"/sessions/{session_id}"),
    ):
        assert (response.status_code, code_of(response)) == (404, "session_not_found")


async def test_use_renews_every_key_of_a_session(hasty: Worker, redis: Redis, offline: Offline) -> None:
    session_id = (await hasty.generated())["session_id"]
    await offline.behave(faults=[{"kind": "server_error", "schema": "ProjectPlan"}])
    assert code_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id})) == "model_unavailable"
    await offline.reset()
    began = time.monotonic()
    while time.monotonic() - began < TTL_SECONDS * 1.3:
        async with asyncio.timeout(TTL_SECONDS):
            while min((await lives(redis, session_id)).values()) > TTL_SECONDS / 2:
                await asyncio.sleep(0.05)
        await hasty.session(session_id)
        left = await lives(redis, session_id)
        assert len(left) > 1
        assert min(left.values()) > TTL_SECONDS * 0.75, left
    answer_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id}))


async def test_the_time_of_a_session_begins_when_its_run_ends(
    hasty: Worker, redis: Redis, offline: Offline
) -> None:
    """However long the run was: this one takes longer than a session lives."""
    await slow(offline, TTL_SECONDS / 3)
    session_id = (await hasty.generated())["session_id"]
    left = await lives(redis, session_id)
    assert min(left.values()) > TTL_SECONDS * 0.75, left
    assert await turns(hasty, session_id) == 1


async def test_a_failed_run_that_outlives_its_session_leaves_nothing_for_ever(
    hasty: Worker, redis: Redis, offline: Offline
) -> None:
    await offline.behave(
        latency={"mean_seconds": TTL_SECONDS / 2.5, "deviation_seconds": 0},
        faults=[{"kind": "server_error", "schema": "ProjectPlan"}],
    )
    response = await hasty.ask("/generate/invoke", GENERATE)
    assert code_of(response) == "model_unavailable"
    session_id = response.json()["error"]["details"]["session_id"]
    for key, seconds in (await lives(redis, session_id)).items():
        assert 0 < seconds <= TTL_SECONDS, f"{key} has {seconds} seconds"
    shown = await hasty.client.get(f"/sessions/{session_id}")
    assert shown.status_code in (200, 404), shown.text


async def test_a_forgotten_session_is_gone_at_once(hasty: Worker, redis: Redis, offline: Offline) -> None:
    session_id = (await hasty.generated("forget"))["session_id"]
    answer_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id}, "forget 2"))
    await offline.behave(faults=[{"kind": "server_error", "schema": "ProjectPlan"}])
    assert code_of(await hasty.ask("/regenerate/invoke", {"session_id": session_id})) == "model_unavailable"
    assert (await hasty.client.delete(f"/sessions/{session_id}")).status_code == 204
    assert not await mentions(redis, session_id)
    assert (await hasty.client.get(f"/sessions/{session_id}")).status_code == 404
