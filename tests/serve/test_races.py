"""Requests that meet: on one session, under one Idempotency-Key, over two workers; clients that leave."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from tests.offline import FOR_EVER, Offline
from tests.pace import scaled
from tests.serve.processes import (
    GENERATE,
    PROFILE,
    Worker,
    answer_of,
    code_of,
    hold,
    nothing_in_flight,
    slow,
)

LEAVING_SECONDS = scaled(1.0)
"""Within this a client that leaves stops the model calls."""


@pytest.fixture
def key() -> str:
    """An Idempotency-Key of the test's own."""
    return uuid.uuid4().hex


async def asked_at_once(
    workers: tuple[Worker, Worker], path: str, given: dict[str, Any], key: str | None = None
) -> tuple[dict[str, Any], httpx.Response]:
    """Asks both workers at the same time; the answer of one and the refusal of the other, which has
    to come while the one still works."""
    requests = [asyncio.create_task(worker.ask(path, given, key)) for worker in workers]
    (first,), (second,) = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
    refusal = await first
    assert refusal.status_code == 409, refusal.text
    assert not second.done()
    return answer_of(await second), refusal


async def test_of_two_regenerations_at_once_one_runs_and_the_other_is_refused_at_once(
    workers: tuple[Worker, Worker], offline: Offline
) -> None:
    session_id = (await workers[0].generated())["session_id"]
    await offline.reset()
    await slow(offline, scaled(0.5))
    for turn in (2, 3):
        answer, refusal = await asked_at_once(workers, "/regenerate/invoke", {"session_id": session_id})
        assert code_of(refusal) == "run_in_progress"
        session = await workers[turn % 2].session(session_id)
        assert len(session["history"]) == turn
        assert session["history"][-1] == session["project"] == answer["project"]
    assert (await offline.calls())["by_schema"]["ProjectPlan"] == 2


async def test_the_same_key_gives_the_same_answer_and_pays_once(
    workers: tuple[Worker, Worker], offline: Offline, key: str
) -> None:
    first = await workers[0].generated(key)
    turn = {"session_id": first["session_id"], "difficulty": "beginner"}
    second = answer_of(await workers[0].ask("/regenerate/invoke", turn, f"{key}-2"))
    await offline.reset()
    for worker in workers:
        assert await worker.generated(key) == first
        assert answer_of(await worker.ask("/regenerate/invoke", turn, f"{key}-2")) == second
    assert (await offline.calls())["total"] == 0
    assert len((await workers[1].session(first["session_id"]))["history"]) == 2


async def test_the_same_key_for_another_request_is_refused(
    workers: tuple[Worker, Worker], offline: Offline, key: str
) -> None:
    session_id = (await workers[0].generated(key))["session_id"]
    answer_of(await workers[0].ask("/regenerate/invoke", {"session_id": session_id}, f"{key}-2"))
    await offline.reset()
    others = [
        ("/generate/invoke", {"profile": {**PROFILE, "skills": ["Rust"]}}, key),
        ("/generate/invoke", {**GENERATE, "language": "en"}, key),
        ("/regenerate/invoke", {"session_id": session_id}, key),
        ("/regenerate/invoke", {"session_id": session_id, "difficulty": "advanced"}, f"{key}-2"),
        ("/generate/invoke", GENERATE, f"{key}-2"),
    ]
    for worker in workers:
        for path, given, used in others:
            response = await worker.ask(path, given, used)
            assert response.status_code == 422, (path, given)
            assert code_of(response) == "idempotency_conflict"
    assert (await offline.calls())["total"] == 0


async def test_the_same_key_twice_at_once_is_one_run_and_one_refusal(
    workers: tuple[Worker, Worker], offline: Offline, key: str
) -> None:
    for path, given, calls in (
        ("/generate/invoke", GENERATE, 4),
        ("/regenerate/invoke", {"session_id": (await workers[0].generated())["session_id"]}, 2),
    ):
        await offline.reset()
        await slow(offline, scaled(0.3))
        used = f"{key} {path}"
        answer, refusal = await asked_at_once(workers, path, given, used)
        assert code_of(refusal) == "run_in_progress"
        for worker in workers:
            assert answer_of(await worker.ask(path, given, used)) == answer
        made = (await offline.calls())["by_schema"]
        assert sum(made.values()) - made.get("embeddings", 0) == calls


async def test_a_burst_under_one_key_is_answered_or_told_to_wait(
    workers: tuple[Worker, Worker], offline: Offline
) -> None:
    """Nothing else: not one of them may find the session missing that another is about to begin."""
    for _ in range(6):
        key = uuid.uuid4().hex
        responses = await asyncio.gather(
            *(worker.ask("/generate/invoke", GENERATE, key) for worker in workers * 3)
        )
        refused = {code_of(response) for response in responses if response.status_code != 200}
        assert refused <= {"run_in_progress"}
        answers = [answer_of(response) for response in responses if response.status_code == 200]
        assert answers
        assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("route", ["generate", "regenerate"])
async def test_a_client_that_leaves_stops_the_model_calls_and_frees_the_session(
    workers: tuple[Worker, Worker], offline: Offline, key: str, route: str, way: str
) -> None:
    given = GENERATE
    if route == "regenerate":
        session = await workers[0].generated()
        chosen = session["candidates"][0]["id"]
        given = {"session_id": session["session_id"], "subject_id": chosen}
    await offline.reset()
    held = ["JobVerdicts"] if route == "generate" else ["SubjectProposals", "ProjectPlan"]
    await slow(offline, FOR_EVER)
    client = asyncio.create_task(workers[0].ask(f"/{route}/{way}", given, key))
    for schema in held:
        await offline.working_on(schema)
    client.cancel()
    await nothing_in_flight(offline, within=LEAVING_SECONDS)
    assert (await offline.calls())["cancelled"] == len(held)
    await slow(offline, 0)
    async with asyncio.timeout(LEAVING_SECONDS):
        while (response := await workers[1].ask(f"/{route}/invoke", given, key)).status_code == 409:
            await asyncio.sleep(0.05)
    answer = answer_of(response)
    if route == "regenerate":
        assert answer["project"]["subject_id"] == chosen
        assert len((await workers[0].session(answer["session_id"]))["history"]) == 2


@pytest.mark.parametrize("schema", ["SubjectProposals", "ProjectPlan"])
async def test_a_session_whose_client_left_in_a_turn_goes_on_with_another(
    workers: tuple[Worker, Worker], offline: Offline, schema: str
) -> None:
    session_id = (await workers[0].generated())["session_id"]
    before = await workers[0].session(session_id)
    await offline.reset()
    await hold(offline, schema)
    given = {"session_id": session_id, "difficulty": "advanced"}
    client = asyncio.create_task(workers[0].ask("/regenerate/invoke", given))
    await offline.working_on(schema)
    client.cancel()
    await nothing_in_flight(offline, within=LEAVING_SECONDS)
    await offline.reset()
    assert (await workers[0].session(session_id))["project"] == before["project"]
    for turn in (2, 3):
        answer = await workers[turn % 2].answered_once_free("/regenerate/invoke", {"session_id": session_id})
        session = await workers[0].session(session_id)
        assert session["project"] == answer["project"]
        assert len(session["history"]) == turn


async def test_a_session_at_work_is_not_forgotten_under_its_run(
    workers: tuple[Worker, Worker], offline: Offline
) -> None:
    session_id = (await workers[0].generated())["session_id"]
    await offline.reset()
    await hold(offline, "ProjectPlan")
    client = asyncio.create_task(workers[0].ask("/regenerate/invoke", {"session_id": session_id}))
    await offline.working_on("ProjectPlan")
    response = await workers[1].client.delete(f"/sessions/{session_id}")
    assert response.status_code == 409
    assert code_of(response) == "run_in_progress"
    client.cancel()
    await nothing_in_flight(offline, within=LEAVING_SECONDS)
    async with asyncio.timeout(LEAVING_SECONDS):
        while (await workers[1].client.delete(f"/sessions/{session_id}")).status_code != 204:
            await asyncio.sleep(0.05)
    assert (await workers[0].client.get(f"/sessions/{session_id}")).status_code == 404


@pytest.mark.parametrize("schema", ["SubjectProposals", "ProjectPlan"])
async def test_a_session_whose_turn_the_model_failed_goes_on_with_another(
    workers: tuple[Worker, Worker], offline: Offline, schema: str
) -> None:
    session_id = (await workers[0].generated())["session_id"]
    await offline.behave(faults=[{"kind": "server_error", "schema": schema}])
    for given in ({"session_id": session_id, "difficulty": "advanced"}, {"session_id": session_id}):
        response = await workers[0].ask("/regenerate/invoke", given)
        assert code_of(response) == "model_unavailable", response.text
    await offline.reset()
    answer = answer_of(await workers[1].ask("/regenerate/invoke", {"session_id": session_id}))
    session = await workers[0].session(session_id)
    assert session["project"] == answer["project"]
    assert len(session["history"]) == 2
