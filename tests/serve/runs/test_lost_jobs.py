"""Runs that a store has lost: a record without a job gets one, and what has no record is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from redis.asyncio import Redis

from graph.sessions.record import events_key, run_key
from tests.databases import cloned
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import answered_calls, slow
from tests.serve.runs.watching import all_of, asked, run_of
from tests.serve.test_kills import GENERATION
from tools.core.settings import Settings


@pytest.fixture
async def own(
    embedded: Settings, samples_template: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Settings]:
    """A database whose queue no other test's worker looks at. Its workers look for such runs all the time."""
    monkeypatch.setattr("serve.runs.runs.MEND_SECONDS", scaled(0.2))
    monkeypatch.setattr("serve.runs.runs.ORPHAN_SECONDS", 0.0)
    async with cloned(embedded, samples_template) as settings:
        yield settings


async def lose_jobs(settings: Settings) -> None:
    """Loses the queue, as a PostgreSQL does that is restored to an earlier day."""
    assert settings.database_url
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        deleted = await connection.execute("delete from procrastinate_jobs")
        assert deleted.rowcount == 1


async def open_runs(redis: Redis) -> set[str]:
    """The runs, of any queue, that are taken to be open."""
    return {
        run_id.decode()
        async for key in redis.scan_iter("open-runs:*")
        for run_id in await redis.zrange(key, 0, -1)
    }


async def test_a_run_that_waits_and_has_lost_its_job_is_done(own: Settings, offline: Offline) -> None:
    async with client_of(own.model_copy(update={"runs_by": "worker"})) as asking:
        run = await asked(asking)
        await lose_jobs(own)
    async with client_of(own) as client:
        assert (await all_of(client, run["run_id"]))[-1].type == "result"
        assert (await run_of(client, run["run_id"]))["attempts"] == 1
    assert await answered_calls(offline) == GENERATION


async def test_a_run_that_loses_its_job_while_it_is_done_ends_once(own: Settings, offline: Offline) -> None:
    """The new job is another attempt, which goes on from what was answered to the first."""
    async with client_of(own) as client:
        await slow(offline, scaled(2))
        run = await asked(client)
        await offline.working_on("SubjectProposals")
        await lose_jobs(own)
        seen = await all_of(client, run["run_id"])
        assert [event.type for event in seen if event.type in {"result", "error"}] == ["result"]
        ended = await run_of(client, run["run_id"])
        assert ended["state"] == "succeeded"
        assert ended["attempts"] > 1
        session = (await client.get(f"/sessions/{run['session_id']}")).json()
        assert len(session["history"]) == 1
        calls = (await offline.calls())["by_schema"]
        assert (calls["JobVerdicts"], calls["MarketSummary"]) == (1, 1)


async def test_a_run_that_redis_has_lost_is_looked_for_no_more(own: Settings, embedded: Settings) -> None:
    async with Redis.from_url(embedded.redis_url or "") as redis:
        async with client_of(own.model_copy(update={"runs_by": "worker"})) as asking:
            run = await asked(asking)
            await lose_jobs(own)
        assert run["run_id"] in await open_runs(redis)
        await redis.delete(run_key(run["run_id"]), events_key(run["run_id"]))
        async with client_of(own), asyncio.timeout(time_limit()):
            while run["run_id"] in await open_runs(redis):
                await asyncio.sleep(0.02)
