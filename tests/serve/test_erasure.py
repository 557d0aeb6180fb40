"""What `DELETE` leaves of a person: nothing, in any key of Redis and any row of PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.databases import cloned
from tests.offline import Offline
from tests.pace import time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import code_of
from tests.serve.runs.watching import all_of, asked, until_state
from tests.serve.test_visitors import OWN
from tools.core.database import connect
from tools.core.redis_client import open_redis
from tools.core.settings import Settings

logger = logging.getLogger(__name__)


@pytest.fixture
def told() -> str:
    """What one person says of themself, and nobody else in these stores."""
    return f"나루터 상회 {uuid.uuid4().hex}"


def profile(told: str) -> dict[str, Any]:
    skills = ["Java", "Spring Boot"]
    return {"desired_job": "백엔드 개발자", "skills": skills, "introduction": f"한때 {told}에서 일했습니다."}


@pytest.fixture
async def own(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """A database of the test's own, and a cache of searches as the service has it."""
    async with cloned(embedded, samples_template) as settings:
        yield settings.model_copy(update={"cache_megabytes": 8})


@pytest.fixture
async def visitor(own: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A person with a cookie of the pages."""
    async with client_of(own) as client:
        client.headers.update(OWN)
        assert (await client.get("/")).status_code == 200
        yield client


async def _value(redis: Redis, key: bytes) -> Any:
    match (await redis.type(key)).decode():
        case "string":
            return await redis.get(key)
        case "hash":
            return await redis.hgetall(key)
        case "set":
            return await redis.smembers(key)
        case "zset":
            return await redis.zrange(key, 0, -1)
        case "list":
            return await redis.lrange(key, 0, -1)
        case "stream":
            return await redis.xrange(key)
        case "ReJSON-RL":
            return await redis.execute_command("JSON.GET", key)
        case "none":
            return None  # it expired a moment ago
    raise AssertionError(f"a key of a kind that this test cannot read: {key!r}")


def _bytes(value: Any) -> bytes:
    """Everything in a value, as it would be searched for."""
    match value:
        case bytes():
            return value
        case dict():
            return b"\n".join(_bytes(part) for pair in value.items() for part in pair)
        case list() | tuple() | set():
            return b"\n".join(_bytes(part) for part in value)
    return b""


async def in_redis(settings: Settings, *words: str) -> set[str]:
    """The keys that hold any of the words, in their names or their values."""
    async with open_redis(settings) as redis:
        found = set()
        async for key in redis.scan_iter("*"):
            text = key + b"\n" + _bytes(await _value(redis, key))
            if any(word.encode() in text for word in words):
                found.add(key.decode())
        return found


async def in_postgres(settings: Settings, *words: str) -> set[str]:
    """The tables that have a row which holds any of the words."""
    async with await connect(str(settings.database_url)) as connection:
        tables = await connection.execute(
            "select quote_ident(table_name) as name from information_schema.tables"
            " where table_schema = 'public' and table_type = 'BASE TABLE'"
        )
        found = set()
        for table in await tables.fetchall():
            rows = await connection.execute(
                f"select from {table['name']} as t where exists ("  # noqa: S608 - a table of ours
                "select from unnest(%s::text[]) as word where position(word in t::text) > 0) limit 1",
                [list(words)],
            )
            if rows.rowcount:
                found.add(table["name"])
        return found


async def none_left(settings: Settings, *words: str) -> None:
    """Waits until no store holds any of the words: a worker may have a word to say that it began to say."""
    async with asyncio.timeout(time_limit()):
        while left := await in_redis(settings, *words) | await in_postgres(settings, *words):
            logger.info("left: %s", left)  # what a time-out is about
            await asyncio.sleep(0.3)


async def session_with_everything(client: httpx.AsyncClient, offline: Offline, told: str) -> list[str]:
    """Does all that a person can do with a session; its id, and those of its runs."""
    text = {"text": f"백엔드 개발자, Java.\n한때 {told}에서 일했습니다."}
    assert (await client.post("/profiles/from-resume", json=text)).status_code == 200
    generate = {"input": {"profile": profile(told)}}
    first = await client.post("/generate/invoke", json=generate, headers={"Idempotency-Key": "first"})
    session_id = first.json()["output"]["session_id"]
    again = {"input": {"session_id": session_id, "feedback": f"{told}처럼"}}
    answered = await client.post("/regenerate/invoke", json=again, headers={"Idempotency-Key": "again"})
    assert answered.status_code == 200, answered.text
    done = await asked(client, "regenerate", key="run", **again["input"])
    assert (await all_of(client, done["run_id"]))[-1].type == "result"
    assert (await client.post(f"/sessions/{session_id}/share")).status_code == 200
    # What fails leaves what was paid for until then, and its claims.
    await offline.behave(faults=[{"kind": "server_error", "schema": "ProjectPlan", "retry_after_seconds": 0}])
    failed = await client.post("/regenerate/invoke", json=again, headers={"Idempotency-Key": "failed"})
    assert code_of(failed) == "model_unavailable"
    lost = await asked(client, "regenerate", key="failed run", **again["input"])
    assert (await until_state(client, lost["run_id"], "failed"))["error"]
    await offline.reset()
    return [session_id, done["run_id"], lost["run_id"]]


async def test_of_a_session_that_is_deleted_nothing_is_left(
    own: Settings, visitor: httpx.AsyncClient, offline: Offline, told: str
) -> None:
    before = await in_redis(own, "idempotency:")
    ids = await session_with_everything(visitor, offline, told)
    assert await in_redis(own, told) and await in_redis(own, ids[0])  # so one would see it
    assert (await visitor.delete(f"/sessions/{ids[0]}")).status_code == 204
    await none_left(own, told, *ids)
    assert await in_redis(own, "idempotency:") == before


async def test_a_run_that_waits_goes_with_its_session(own: Settings, told: str) -> None:
    """Its job waits on in PostgreSQL, with ids alone, until a worker takes it."""
    async with client_of(own.model_copy(update={"runs_by": "worker"})) as client:
        generated = await client.post("/generate/invoke", json={"input": {"profile": profile(told)}})
        session_id = generated.json()["output"]["session_id"]
        waits = await asked(client, "regenerate", session_id=session_id, feedback=f"{told}처럼")
        assert (await client.delete(f"/sessions/{session_id}")).status_code == 204
        await none_left(own, told)
        assert await in_postgres(own, session_id) == {"procrastinate_jobs"}
    async with client_of(own):
        await none_left(own, session_id, waits["run_id"])


async def test_a_kept_project_is_what_somebody_keeps_and_deletes(
    own: Settings, visitor: httpx.AsyncClient, told: str
) -> None:
    generated = await visitor.post("/generate/invoke", json={"input": {"profile": profile(told)}})
    session_id = generated.json()["output"]["session_id"]
    kept = (await visitor.post("/kept", json={"session_id": session_id})).json()["kept_id"]
    assert (await visitor.delete(f"/sessions/{session_id}")).status_code == 204
    assert await in_postgres(own, session_id) == {"kept_projects"}
    await none_left(own, told)
    assert (await visitor.delete(f"/kept/{kept}")).status_code == 204
    await none_left(own, told, session_id, kept)
