"""Workers that are killed or stopped in the middle of a run, and the workers that go on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import (
    GENERATE,
    Worker,
    all_held,
    answer_of,
    answered_calls,
    code_of,
    ended,
    hold,
    new_session_id,
    nothing_in_flight,
    session_ids,
    slow,
    working,
)
from tools.core.settings import Settings

SCHEMA_OF = {
    "retrieve": "embeddings",
    "filter_jobs": "JobVerdicts",
    "summarize": "MarketSummary",
    "propose_subjects": "SubjectProposals",
    "generate_tasks": "ProjectPlan",
}
"""The model call of each node that makes one."""
GENERATION = sorted(SCHEMA_OF.values())
REGENERATION = ["ProjectPlan", "SubjectProposals", "embeddings"]
"""Of the new subjects, the novelty check takes the embeddings."""


@dataclass
class Broken:
    """A run that a kill broke off: what was asked, and which model calls had been answered."""

    session_id: str
    path: str
    given: dict[str, Any]
    key: str | None
    answered: list[str]
    before: dict[str, Any]
    """The session as it was when the run began; empty for a generation."""
    refused: str = ""
    """What another worker was told right after the kill."""


@pytest.fixture(scope="module")
async def redis(embedded: Settings) -> AsyncIterator[Redis]:
    assert embedded.redis_url is not None
    async with Redis.from_url(embedded.redis_url) as client:
        yield client


@pytest.fixture(scope="module")
async def broken(
    settings: Settings, workers: tuple[Worker, Worker], redis: Redis
) -> AsyncIterator[dict[str, Broken]]:
    """The runs that a third worker was killed with: a generation in each node, regenerations in both of
    theirs.

    They begin one after the other and each is held where its fault says, so that the counters tell
    which of its calls were answered.
    """
    runs: dict[str, Broken] = {}
    requests: list[asyncio.Task[httpx.Response]] = []
    sessions = [await workers[0].generated() for _ in range(5)]
    async with Offline.of(settings) as offline, working(settings) as victim:

        async def begin(name: str, path: str, given: dict[str, Any], schema: str, key: str | None) -> None:
            known = given.get("session_id")
            before = await workers[0].session(known) if known else {}
            others = await session_ids(redis)
            await offline.reset()
            await hold(offline, schema)
            requests.append(asyncio.create_task(victim.ask(path, given, key)))
            session_id = known or await new_session_id(redis, others)
            answered = []
            if name != "build_query":  # which is over in an instant: the kill comes right after it began
                await all_held(offline, 1)
                answered = await answered_calls(offline)
            runs[name] = Broken(session_id, path, given, key, answered, before)

        for chosen in ("", " with a candidate"):
            for node in ("propose_subjects", "generate_tasks"):
                session = sessions.pop()
                given = {"session_id": session["session_id"], "feedback": "더 작게"}
                if chosen:
                    given["subject_id"] = session["candidates"][0]["id"]
                name = f"regeneration in {node}{chosen}"
                await begin(name, "/regenerate/invoke", given, SCHEMA_OF[node], name)
        given = {"session_id": sessions.pop()["session_id"]}
        await begin("regeneration without a key", "/regenerate/invoke", given, "ProjectPlan", None)
        for node, schema in SCHEMA_OF.items():
            await begin(node, "/generate/invoke", GENERATE, schema, node)
        locked = runs["regeneration without a key"]
        # Asked once before, the question takes no time after the kill, when the lock lives seconds only.
        await workers[1].ask(locked.path, locked.given)
        await begin("build_query", "/generate/invoke", GENERATE, "embeddings", "build_query")
        await victim.kill()
        locked.refused = code_of(await workers[1].ask(locked.path, locked.given))
        await ended(requests)
        await offline.reset()
        yield runs


async def test_a_killed_worker_keeps_its_session_from_others_for_seconds_only(
    broken: dict[str, Broken], workers: tuple[Worker, Worker]
) -> None:
    run = broken["regeneration without a key"]
    assert run.refused == "run_in_progress"
    answer = await workers[1].answered_once_free(run.path, run.given)
    session = await workers[0].session(run.session_id)
    assert session["history"] == [*run.before["history"], answer["project"]]


@pytest.mark.parametrize("node", ["build_query", *SCHEMA_OF])
async def test_another_worker_finishes_a_generation_and_pays_for_nothing_twice(
    broken: dict[str, Broken], workers: tuple[Worker, Worker], offline: Offline, node: str
) -> None:
    run = broken[node]
    answer = await workers[1].answered_once_free(run.path, run.given, run.key)
    assert answer["session_id"] == run.session_id
    assert sorted(run.answered + await answered_calls(offline)) == GENERATION
    # Asked for once each: what was held when the worker died is the only call that was made twice.
    assert (await offline.calls())["total"] == len(GENERATION) - len(run.answered)
    again = answer_of(await workers[0].ask("/regenerate/invoke", {"session_id": run.session_id}))
    assert again["project"]["title"] != answer["project"]["title"]
    assert len((await workers[0].session(run.session_id))["history"]) == 2


@pytest.mark.parametrize("chosen", ["", " with a candidate"])
@pytest.mark.parametrize("node", ["propose_subjects", "generate_tasks"])
async def test_another_worker_finishes_a_regeneration_and_pays_for_nothing_twice(
    broken: dict[str, Broken], workers: tuple[Worker, Worker], offline: Offline, node: str, chosen: str
) -> None:
    run = broken[f"regeneration in {node}{chosen}"]
    answer = await workers[1].answered_once_free(run.path, run.given, run.key)
    assert sorted(run.answered + await answered_calls(offline)) == REGENERATION
    assert (await offline.calls())["total"] == len(REGENERATION) - len(run.answered)
    if chosen:
        assert answer["project"]["subject_id"] == run.given["subject_id"]
    session = await workers[0].session(run.session_id)
    assert session["history"] == [*run.before["history"], answer["project"]]
    assert answer_of(await workers[0].ask("/regenerate/invoke", {"session_id": run.session_id}))


@pytest.mark.parametrize("schema", ["SubjectProposals", "ProjectPlan"])
async def test_a_worker_that_stood_still_does_not_undo_what_another_did(
    workers: tuple[Worker, Worker], offline: Offline, schema: str
) -> None:
    """Its model call is answered while it stands still, so that it wants to go on at once."""
    stopped, other = workers
    assert stopped.process
    session_id = (await stopped.generated())["session_id"]
    await offline.reset()
    await slow(offline, scaled(0.5))
    late = asyncio.create_task(stopped.ask("/regenerate/invoke", {"session_id": session_id}))
    await offline.working_on(schema)
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        await slow(offline, 0)
        taken = await other.answered_once_free("/regenerate/invoke", {"session_id": session_id})
        shown = await other.session(session_id)
        assert shown["project"] == taken["project"]
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(time_limit()):
        response = await late
    assert response.status_code == 503, response.text
    assert code_of(response) == "store_unavailable"
    await nothing_in_flight(offline, within=scaled(2))
    assert await other.session(session_id) == shown
    for worker in workers:
        answer_of(await worker.ask("/regenerate/invoke", {"session_id": session_id}))
    session = await other.session(session_id)
    assert session["history"][:2] == shown["history"]
    assert len(session["history"]) == 4
