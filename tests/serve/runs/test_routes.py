"""What `/runs` promises a client, with one worker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
from redis.asyncio import Redis

from graph.sessions import lease
from serve.runs import events, routes
from tests.databases import cloned
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import GENERATE, answered_calls, code_of, mentions, nothing_in_flight, slow
from tests.serve.runs.watching import all_of, asked, run_of, until_state, watched
from tests.serve.test_kills import GENERATION
from tools.core.contracts import Answer
from tools.core.settings import Settings


async def test_a_run_is_started_watched_and_answers(client: httpx.AsyncClient) -> None:
    started = await asked(client)
    assert started["state"] == "queued"
    assert started["result"] is started["error"] is started["ended_at"] is None
    seen = await all_of(client, started["run_id"])
    kinds = [event.type for event in seen]
    assert kinds[0] == "queued"
    assert kinds[-1] == "result"
    assert kinds.count("node_started") == kinds.count("node_finished") == 6
    assert {"subject", "task"} <= set(kinds)
    run = await run_of(client, started["run_id"])
    assert run["state"] == "succeeded"
    assert run["attempts"] == 1
    assert run["created_at"] <= run["started_at"] <= run["ended_at"]
    assert run["result"] == seen[-1].data["data"]
    answer = Answer.model_validate(run["result"])
    assert answer.session_id == started["session_id"]
    assert (await client.get(f"/sessions/{answer.session_id}")).json()["project"] == run["result"]["project"]


async def test_a_session_goes_on_and_its_runs_are_listed_newest_first(client: httpx.AsyncClient) -> None:
    first = await asked(client)
    second = (
        await asked(client, "regenerate", session_id=first["session_id"], weeks=2)
        if await all_of(client, first["run_id"])
        else first
    )
    assert second["session_id"] == first["session_id"]
    last = (await all_of(client, second["run_id"]))[-1]
    assert last.type == "result"
    assert last.data["data"]["project"]["duration_weeks"] <= 2
    listed = (await client.get("/runs", params={"session_id": first["session_id"]})).json()["runs"]
    assert [run["run_id"] for run in listed] == [second["run_id"], first["run_id"]]
    assert all("result" not in run and run["state"] == "succeeded" for run in listed)


async def test_runs_of_one_session_wait_for_one_another(client: httpx.AsyncClient) -> None:
    first = await asked(client)
    await all_of(client, first["run_id"])
    runs = [await asked(client, "regenerate", session_id=first["session_id"]) for _ in range(3)]
    for run in runs:
        assert (await all_of(client, run["run_id"]))[-1].type == "result"
    session = (await client.get(f"/sessions/{first['session_id']}")).json()
    assert len(session["history"]) == 4


async def test_a_run_that_nobody_watches_goes_on(client: httpx.AsyncClient) -> None:
    run = await asked(client)
    async for _ in watched(client, run["run_id"]):
        break
    assert (await until_state(client, run["run_id"], "succeeded", "failed"))["state"] == "succeeded"


async def test_a_request_with_the_same_key_is_the_same_run(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    run = await asked(client, key="once")
    again = await asked(client, key="once")
    assert again["run_id"] == run["run_id"]
    await all_of(client, run["run_id"])
    assert (await asked(client, key="once"))["result"] is not None
    assert await answered_calls(offline) == GENERATION
    other = {"kind": "generate", "input": {"profile": {"desired_job": "기획자"}}}
    refused = await client.post("/runs", json=other, headers={"Idempotency-Key": "once"})
    assert code_of(refused) == "idempotency_conflict"


async def test_cancelling_stops_the_model_call_within_a_second(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    run = await asked(client)
    watching = asyncio.create_task(all_of(client, run["run_id"]))
    await offline.in_flight(1)
    response = await client.delete(f"/runs/{run['run_id']}")
    assert response.status_code == 202
    assert response.json()["state"] == "cancelled"
    await nothing_in_flight(offline, within=scaled(1))
    last = (await watching)[-1]
    assert last.type == "error"
    assert last.data["data"]["code"] == "run_cancelled"
    assert (await run_of(client, run["run_id"]))["error"]["code"] == "run_cancelled"


async def test_a_cancelled_run_goes_on_with_what_was_answered(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": "MarketSummary"}])
    run = await asked(client)
    await offline.working_on("MarketSummary")
    await client.delete(f"/runs/{run['run_id']}")
    await nothing_in_flight(offline, within=time_limit())
    answered = await answered_calls(offline)
    assert answered == ["JobVerdicts", "embeddings"]
    await offline.reset()
    response = await client.post(f"/runs/{run['run_id']}/resume")
    assert response.status_code == 202
    assert response.json()["error"] is None
    seen = await all_of(client, run["run_id"])
    kinds = [event.type for event in seen]
    assert kinds[-1] == "result"
    assert kinds.count("error") == 1
    assert kinds.count("queued") == 2
    assert sorted(answered + await answered_calls(offline)) == GENERATION
    run = await run_of(client, run["run_id"])
    assert (run["state"], run["attempts"]) == ("succeeded", 2)


async def test_a_run_that_fails_says_why_and_can_be_resumed(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "SubjectProposals"}])
    run = await asked(client)
    last = (await all_of(client, run["run_id"]))[-1]
    failed = await run_of(client, run["run_id"])
    assert failed["state"] == "failed"
    assert failed["error"] == last.data["data"]
    assert failed["error"]["code"] == "model_unavailable"
    assert failed["error"]["details"]["session_id"] == run["session_id"]
    await offline.behave()
    await client.post(f"/runs/{run['run_id']}/resume")
    assert (await all_of(client, run["run_id"], after=last.id))[-1].type == "result"


async def test_resuming_a_run_that_has_succeeded_changes_nothing(client: httpx.AsyncClient) -> None:
    run = await asked(client)
    await all_of(client, run["run_id"])
    before = await run_of(client, run["run_id"])
    assert (await client.post(f"/runs/{run['run_id']}/resume")).json() == before
    assert (await client.delete(f"/runs/{run['run_id']}")).json() == before


async def test_a_reader_goes_on_where_it_was_and_is_told_when_nothing_comes(
    client: httpx.AsyncClient,
) -> None:
    run = await asked(client)
    seen = await all_of(client, run["run_id"])
    for place in (0, 3, len(seen) - 2):
        assert await all_of(client, run["run_id"], seen[place].id) == seen[place + 1 :]
    path = f"/runs/{run['run_id']}/events"
    by_query = await client.get(path, params={"after": seen[-2].id})
    assert by_query.text.count("event: ") == 1
    assert by_query.headers["x-accel-buffering"] == "no"
    assert by_query.headers["cache-control"] == "no-store"
    assert by_query.text.startswith("retry: ")
    assert (await client.get(path, headers={"Last-Event-ID": seen[-1].id or ""})).status_code == 204
    assert code_of(await client.get(path, params={"after": "seven"})) == "invalid_request"


async def test_a_silent_stream_beats_and_ends_after_its_time(
    client: httpx.AsyncClient, offline: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", scaled(0.1))
    monkeypatch.setattr(routes, "STREAM_SECONDS", scaled(1))
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    run = await asked(client)
    text = (await client.get(f"/runs/{run['run_id']}/events")).text
    assert text.count(": heartbeat\n\n") > 2
    *_, before, last = text.strip().split("\n\n")
    assert before == ": heartbeat"
    assert last.startswith("event: reconnect\n")
    await client.delete(f"/runs/{run['run_id']}")


async def test_a_forgotten_session_leaves_nothing_of_its_runs(
    client: httpx.AsyncClient, embedded: Settings
) -> None:
    run = await asked(client)
    await all_of(client, run["run_id"])
    assert (await client.delete(f"/sessions/{run['session_id']}")).status_code == 204
    assert code_of(await client.get(f"/runs/{run['run_id']}")) == "run_not_found"
    assert code_of(await client.get(f"/runs/{run['run_id']}/events")) == "run_not_found"
    async with Redis.from_url(embedded.redis_url or "") as redis:
        assert not await mentions(redis, run["session_id"])
        assert not [key async for key in redis.scan_iter(f"*{run['run_id']}*")]


async def test_who_asks_for_an_unknown_session_is_told_at_once(client: httpx.AsyncClient) -> None:
    body = {"kind": "regenerate", "input": {"session_id": "nobody-s"}}
    response = await client.post("/runs", json=body)
    assert (response.status_code, code_of(response)) == (404, "session_not_found")
    wrong = {"kind": "generate", "input": {"profile": {"desired_job": 7}}}
    refused = await client.post("/runs", json=wrong)
    assert code_of(refused) == "invalid_profile"
    assert refused.json()["error"]["details"]["fields"][0]["field"] == "profile.desired_job"


@pytest.fixture
async def narrow(
    embedded: Settings, samples_template: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A service with a place for one run, and for two that wait; it shares its queue and its places with no
    other."""
    monkeypatch.setattr(lease, "WORKERS", f"workers of {uuid.uuid4().hex}")
    async with (
        cloned(embedded, samples_template) as own,
        client_of(own.model_copy(update={"concurrency": 1, "run_queue": 2})) as opened,
    ):
        yield opened


async def test_at_capacity_runs_wait_and_what_is_more_is_refused(
    narrow: httpx.AsyncClient, offline: Offline
) -> None:
    await slow(offline, FOR_EVER)
    first = await asked(narrow)
    await until_state(narrow, first["run_id"], "running")
    waiting = [await asked(narrow) for _ in range(2)]
    refused = await narrow.post("/runs", json={"kind": "generate", "input": GENERATE})
    assert (refused.status_code, code_of(refused)) == (503, "overloaded")
    assert refused.headers["retry-after"]
    assert (await run_of(narrow, waiting[0]["run_id"]))["state"] == "queued"
    # One that is cancelled while it waits makes room, and is never begun.
    await narrow.delete(f"/runs/{waiting[1]['run_id']}")
    waiting[1] = await asked(narrow)
    await offline.reset()
    await narrow.delete(f"/runs/{first['run_id']}")
    for run in waiting:
        assert (await all_of(narrow, run["run_id"]))[-1].type == "result"
