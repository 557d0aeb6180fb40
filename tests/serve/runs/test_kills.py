"""Background runs whose worker is killed, stopped or told to end: another one goes on with them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from graph.sessions.lease import LEASE_SECONDS
from serve.runs.engine import STALLED_SECONDS, SWEEP_SECONDS
from tests.databases import cloned, environment
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import (
    COMMAND,
    all_held,
    answered_calls,
    hold,
    nothing_in_flight,
    slow,
    working,
)
from tests.serve.runs.watching import all_of, asked, run_of, until_state, watched
from tests.serve.test_kills import GENERATION
from tools.core.settings import CHECKOUT, Settings

TAKEN_UP_SECONDS = max(LEASE_SECONDS, STALLED_SECONDS) + SWEEP_SECONDS + scaled(8)
"""Within 30 seconds another worker takes a dead one's run up; what a loaded machine adds is a third of it."""


@pytest.fixture
async def own(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """A database whose queue no other test's worker looks at."""
    async with cloned(embedded, samples_template) as settings:
        yield settings


@asynccontextmanager
async def doing_runs(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `checkerboard worker`; ends it, dead or alive."""
    process = await asyncio.create_subprocess_exec(
        COMMAND, "worker", cwd=CHECKOUT, env=os.environ | environment(settings)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(time_limit()):
            await process.wait()


def test_half_a_minute_is_enough_to_notice_a_death_and_take_a_run_up() -> None:
    assert max(LEASE_SECONDS, STALLED_SECONDS) + 2 * SWEEP_SECONDS < 30


@pytest.mark.parametrize("schema", ["MarketSummary", "ProjectPlan"])
async def test_a_killed_worker_s_run_is_taken_up_and_ends_once(
    own: Settings, offline: Offline, schema: str
) -> None:
    """Its reader comes again to the other worker and misses nothing; no answer is paid for twice."""
    async with working(own) as victim, working(own, CHECKERBOARD_RUNS_BY="worker") as other:
        await hold(offline, schema)
        run = await asked(victim.client)
        seen = []
        async for event in watched(other.client, run["run_id"]):
            seen.append(event)
            if event.type == "node_started" and len([e for e in seen if e.type == "node_started"]) > 3:
                break
        await offline.working_on(schema)
        await all_held(offline, 1)
        answered = await answered_calls(offline)
        await victim.kill()
        killed = time.monotonic()
        async with working(own) as third:
            await offline.reset()
            async with asyncio.timeout(time_limit()):
                rest = await all_of(other.client, run["run_id"], seen[-1].id)
            taken = time.monotonic() - killed
            assert [event.type for event in rest].count("result") == 1
            assert rest[-1].type == "result"
            assert taken < TAKEN_UP_SECONDS
            assert sorted(answered + await answered_calls(offline)) == GENERATION
            assert await all_of(third.client, run["run_id"]) == [*seen, *rest]
            done = await run_of(third.client, run["run_id"])
            assert (done["state"], done["attempts"]) == ("succeeded", 2)
            session = await third.session(run["session_id"])
            assert session["history"] == [done["result"]["project"]]


async def test_a_worker_that_stood_still_tells_nothing_after_another_took_its_run(
    own: Settings, offline: Offline
) -> None:
    async with working(own) as stopped, working(own, CHECKERBOARD_RUNS_BY="worker") as watching:
        await slow(offline, scaled(0.5))
        run = await asked(stopped.client)
        await offline.working_on("SubjectProposals")
        assert stopped.process
        stopped.process.send_signal(signal.SIGSTOP)
        try:
            await offline.reset()
            async with working(own) as other:
                seen = await all_of(watching.client, run["run_id"])
                stopped.process.send_signal(signal.SIGCONT)
                assert (await stopped.client.get("/healthz")).status_code == 200
                await nothing_in_flight(offline, within=time_limit())
                assert await all_of(other.client, run["run_id"]) == seen
                assert [event.type for event in seen].count("result") == 1
                session = await other.session(run["session_id"])
                assert len(session["history"]) == 1
        finally:
            stopped.process.send_signal(signal.SIGCONT)


async def test_a_drain_lets_runs_end_and_hands_over_what_is_left(own: Settings, offline: Offline) -> None:
    """Its readers are sent elsewhere at once."""
    async with working(own, CHECKERBOARD_DRAIN_SECONDS="1") as leaving:
        await hold(offline, "ProjectPlan")
        run = await asked(leaving.client)
        await offline.working_on("ProjectPlan")
        answered = await answered_calls(offline)
        reading = asyncio.create_task(all_of(leaving.client, run["run_id"]))
        await asyncio.sleep(0)
        async with working(own) as other:
            assert leaving.process
            leaving.process.send_signal(signal.SIGTERM)
            seen = await reading
            assert seen[-1].type == "reconnect"
            async with asyncio.timeout(time_limit()):
                assert await leaving.process.wait() == 0
            await offline.reset()
            rest = await all_of(other.client, run["run_id"], seen[-2].id)
            assert rest[-1].type == "result"
            assert sorted(answered + await answered_calls(offline)) == GENERATION
            assert (await run_of(other.client, run["run_id"]))["state"] == "succeeded"


async def test_runs_that_wait_outlive_the_service(own: Settings, offline: Offline) -> None:
    async with working(own, CHECKERBOARD_RUNS_BY="worker") as serving:
        run = await asked(serving.client)
    async with working(own) as serving:
        assert (await all_of(serving.client, run["run_id"]))[-1].type == "result"


async def test_a_process_of_its_own_does_the_runs(own: Settings, offline: Offline) -> None:
    """`checkerboard worker`, where the workers that serve do none; it ends in order."""
    async with working(own, CHECKERBOARD_RUNS_BY="worker") as serving, doing_runs(own) as process:
        run = await asked(serving.client)
        assert (await all_of(serving.client, run["run_id"]))[-1].type == "result"
        await hold(offline, "JobVerdicts")
        run = await asked(serving.client)
        await offline.working_on("JobVerdicts")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(time_limit()):
            assert await process.wait() == 0
        assert (await until_state(serving.client, run["run_id"], "queued", "failed"))["state"] == "queued"
