"""LangServe's routes, driven by its own client and by plain HTTP."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from langchain_core.runnables import RunnableConfig
from langserve import RemoteRunnable

from graph.sessions.sessions import Caller, Run
from serve.callers import admin_of, caller_of
from serve.langserve_routes import SessionRunnable
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Answer
from tools.core.slots import WorkSlots

PROFILE = {"desired_job": "백엔드 개발자", "skills": ["Java", "Spring Boot", "MySQL"]}
NODES = ["build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"]


@pytest.fixture
async def generate(address: str) -> AsyncIterator[Any]:
    async with remote(f"{address}/generate/") as runnable:
        yield runnable


@pytest.fixture
async def regenerate(address: str) -> AsyncIterator[Any]:
    async with remote(f"{address}/regenerate/") as runnable:
        yield runnable


@asynccontextmanager
async def remote(url: str) -> AsyncIterator[Any]:
    """LangServe's own client, its connections closed at the end (it leaves that to the garbage collector)."""
    runnable = RemoteRunnable(url, timeout=time_limit())
    yield runnable
    runnable.sync_client.close()
    await runnable.async_client.aclose()


async def test_remote_runnable_generates_and_regenerates(generate: Any, regenerate: Any) -> None:
    first = await generate.ainvoke({"profile": PROFILE})
    Answer.model_validate(first)
    again = await regenerate.ainvoke(
        {"session_id": first["session_id"], "difficulty": "beginner", "weeks": 2}
    )
    assert again["session_id"] == first["session_id"]
    assert again["project"]["title"] != first["project"]["title"]
    assert again["project"]["difficulty"] == "beginner"
    assert again["project"]["duration_weeks"] <= 2
    chosen = again["candidates"][0]
    built = await regenerate.ainvoke({"session_id": first["session_id"], "subject_id": chosen["id"]})
    assert built["project"]["subject_id"] == chosen["id"]


async def test_a_batch_is_answered_in_its_order(generate: Any, regenerate: Any) -> None:
    jobs = ["백엔드 개발자", "프론트엔드 개발자", "데이터 엔지니어"]
    answers = await generate.abatch([{"profile": {"desired_job": job}} for job in jobs])
    assert len({answer["session_id"] for answer in answers}) == 3
    assert [answer["project"]["title"] for answer in answers]
    again = await regenerate.abatch([{"session_id": answer["session_id"]} for answer in answers])
    assert [a["session_id"] for a in again] == [a["session_id"] for a in answers]


async def test_the_stream_tells_each_node_while_it_works(generate: Any, offline: Offline) -> None:
    latency = scaled(0.4)
    await offline.behave(latency={"mean_seconds": latency, "deviation_seconds": 0})
    arrived: dict[str, float] = {}
    events = []
    async for event in generate.astream({"profile": PROFILE}):
        events.append(event)
        if event["type"] in ("node_started", "result"):
            arrived.setdefault(event["node"] or "result", time.monotonic())
    assert [e["node"] for e in events if e["type"] == "node_started"] == NODES
    assert events[-1]["type"] == "result"
    Answer.model_validate(events[-1]["data"])
    # Each model call lasts that long, so what it follows must have arrived that much before what comes next.
    slow = ["filter_jobs", "summarize", "propose_subjects", "generate_tasks", "result"]
    for node, following in itertools.pairwise(slow):
        assert arrived[following] - arrived[node] > latency * 0.75, (node, following)


async def test_progress_events_have_the_promised_shape(generate: Any) -> None:
    events = [event async for event in generate.astream({"profile": PROFILE})]
    for event in events:
        assert set(event) == {"type", "node", "elapsed_ms", "data"}
    said = {e["node"]: e["data"] for e in events if e["type"] == "node_finished"}
    assert said["retrieve"] == "공고 20건"
    assert "20건 중" in said["filter_jobs"]
    elapsed = [event["elapsed_ms"] for event in events]
    assert elapsed == sorted(elapsed)
    assert len([e for e in events if e["type"] == "subject"]) == 4
    assert len([e for e in events if e["type"] == "task"]) >= 8


async def test_a_failing_stream_ends_in_a_typed_error_event(generate: Any, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "server_error", "schema": "MarketSummary"}])
    events = [event async for event in generate.astream({"profile": PROFILE})]
    assert events[-1]["type"] == "error"
    assert events[-1]["data"]["code"] == "model_unavailable"
    assert events[-1]["data"]["details"]["session_id"]


async def test_a_client_that_leaves_a_stream_stops_the_model_call(
    client: httpx.AsyncClient, offline: Offline
) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})

    async def listen() -> None:
        body = {"input": {"profile": PROFILE}}
        async with client.stream("POST", "/generate/stream", json=body) as response:
            async for _ in response.aiter_lines():
                pass

    listener = asyncio.create_task(listen())
    await offline.working_on("JobVerdicts")
    listener.cancel()
    assert (await offline.in_flight(0))["cancelled"] == 1


async def test_stream_events_names_the_run(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate/stream_events", json={"input": {"profile": PROFILE}})
    assert response.status_code == 200
    assert '"on_chain_start"' in response.text
    assert '"on_chain_end"' in response.text
    assert "propose_subjects" in response.text
    # Nodes are shown, prompts are not.
    assert "on_chat_model_start" not in response.text


@pytest.mark.parametrize("route", ["generate", "regenerate"])
async def test_schemas_are_served(client: httpx.AsyncClient, route: str) -> None:
    given = (await client.get(f"/{route}/input_schema")).json()
    assert given["additionalProperties"] is False
    answered = (await client.get(f"/{route}/output_schema")).json()
    assert set(answered["properties"]) == {
        "session_id", "project", "candidates", "missing", "summary", "postings", "closest_only", "left_out",
        "warnings", "versions",
    }  # fmt: skip


@pytest.mark.parametrize(
    "configurable",
    [{"thread_id": "another"}, {"checkpoint_id": "1"}, {"checkpoint_ns": "x"}, {"anything": 1}],
)
async def test_nobody_names_a_thread_from_outside(
    client: httpx.AsyncClient, configurable: dict[str, Any]
) -> None:
    body = {"input": {"profile": PROFILE}, "config": {"configurable": configurable}}
    answer = (await client.post("/generate/invoke", json=body)).json()["output"]
    assert answer["session_id"] not in configurable.values()
    stolen = {
        "input": {"session_id": "0" * 32},
        "config": {"configurable": {"thread_id": answer["session_id"]}},
    }
    assert (await client.post("/regenerate/invoke", json=stolen)).status_code == 404
    for named in configurable.values():
        assert (await client.get(f"/sessions/{named}")).status_code == 404


async def test_who_calls_is_passed_to_the_run_not_left_in_a_context() -> None:
    """A synchronous dependency of FastAPI runs in a thread, where what it leaves in a context is lost."""
    asked: list[Any] = []

    def start(given: Any, caller: Caller) -> Run:
        asked.append((given, caller))

        async def finish(run: Run) -> dict[str, Any]:
            run.emit("result", None, {})
            return {}

        return Run(
            "generate", "session", "", lambda run: asyncio.create_task(finish(run)), WorkSlots(1).slot()
        )

    runnable = SessionRunnable("generate", start)
    config: RunnableConfig = {"configurable": {"caller": Caller("ada", "key")}}
    assert await runnable.ainvoke("invoked", config) == {}
    assert [event["type"] async for event in runnable.astream("streamed", config)] == ["result"]
    assert [given for given, _ in asked] == ["invoked", "streamed"]
    assert {caller for _, caller in asked} == {Caller("ada", "key")}


@pytest.mark.parametrize("depends", [caller_of, admin_of])
def test_who_calls_is_found_out_without_a_thread(depends: Any) -> None:
    assert inspect.iscoroutinefunction(depends)
