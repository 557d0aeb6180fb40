"""What is set from outside happens, to the calls it is meant for, and is counted."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from langchain_openai import ChatOpenAI
from openai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    InternalServerError,
    RateLimitError,
)
from pydantic import ValidationError

from local.model.faults import UNKNOWN_POSTING, Calls, FaultConfig, FaultInjector
from local.model.server import create_app, running
from nodes.propose_subjects import SubjectProposals
from tests.local.model.steered import REJECTED, SUBJECT, Server, TwoSubjects, without_dictionary
from tests.offline import FOR_EVER, OPENS, SECRET
from tests.pace import scaled, time_limit
from tools.core.fencing import fence


@pytest.fixture(scope="module")
async def started() -> AsyncIterator[Server]:
    with without_dictionary():
        app = create_app(TwoSubjects(), secret=SECRET)
    async with running(app) as url:
        root = url.removesuffix("/v1")
        async with httpx.AsyncClient(base_url=root, headers=OPENS, timeout=time_limit()) as http:
            server = Server(url, http)
            async with server.openai:
                yield server


@pytest.fixture
async def server(started: Server) -> AsyncIterator[Server]:
    await started.request("DELETE", "/offline/calls")
    yield started
    await started.request("DELETE", "/offline/behaviour")


async def test_rate_limit(server: Server) -> None:
    await server.fault("rate_limit", retry_after_seconds=2.5)

    with pytest.raises(RateLimitError) as limited:
        await server.ask()

    assert limited.value.response.headers["retry-after"] == "2.5"
    assert limited.value.code == "rate_limit_exceeded"
    assert (await server.calls())["failed"] == {"rate_limit": 1}


async def test_the_clients_own_retry_heeds_retry_after(server: Server) -> None:
    await server.fault("rate_limit", times=1, retry_after_seconds=1)
    async with httpx.AsyncClient(timeout=time_limit()) as http:
        model = ChatOpenAI(
            model="any",
            base_url=server.url,
            api_key="offline",
            max_retries=1,
            http_async_client=http,
        )
        before = time.perf_counter()
        answer = await model.ainvoke("안녕")

    assert "offline model" in answer.text
    assert 1.0 <= time.perf_counter() - before < scaled(3)
    calls = await server.calls()
    assert (calls["total"], calls["answered"], calls["failed"]) == (2, 1, {"rate_limit": 1})


async def test_server_error(server: Server) -> None:
    await server.fault("server_error", times=2)

    for _ in range(2):
        with pytest.raises(InternalServerError):
            await server.ask()
    assert orjson.loads(await server.ask())["subjects"]


async def test_timeout_holds_until_the_client_leaves(server: Server) -> None:
    await server.fault("timeout")

    with pytest.raises(APITimeoutError):
        await server.ask(timeout=scaled(0.3))

    calls = await server.until(in_flight=0)
    assert calls["failed"] == {"timeout": 1}
    assert calls["cancelled"] == 0


async def test_cut_stream_without_a_stream(server: Server) -> None:
    await server.fault("cut_stream")

    with pytest.raises(APIConnectionError):
        await server.ask()
    with pytest.raises(APIConnectionError):
        await server.embed()

    assert (await server.until(in_flight=0))["failed"] == {"cut_stream": 2}


async def test_cut_stream_in_the_middle_of_a_stream(server: Server) -> None:
    await server.fault("cut_stream")
    heard = []

    with pytest.raises((APIError, httpx.RemoteProtocolError)):
        async for chunk in await server.ask(stream=True):
            heard.append(chunk)

    assert len(heard) > 2
    assert all(chunk.choices[0].finish_reason is None for chunk in heard)


async def test_invalid_json(server: Server) -> None:
    await server.fault("invalid_json")

    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(await server.ask())
    assert "offline model" in await server.ask(schema=None)


async def test_schema_violation(server: Server) -> None:
    await server.fault("schema_violation")

    with pytest.raises(ValidationError) as invalid:
        SubjectProposals.model_validate_json(await server.ask())

    assert {error["type"] for error in invalid.value.errors()} == {"missing", "list_type"}


async def test_repeat_rejected(server: Server) -> None:
    await server.fault("repeat_rejected")
    prompt = fence("rejected", [REJECTED])

    repeated = SubjectProposals.model_validate_json(await server.ask(prompt=prompt))
    unchanged = SubjectProposals.model_validate_json(await server.ask(prompt=fence("rejected", [])))

    assert [subject.title for subject in repeated.subjects] == ["채팅 서버", "채팅 서버"]
    assert [subject.title for subject in unchanged.subjects] == ["결제 서버", "결제 서버"]
    assert (await server.calls())["failed"] == {"repeat_rejected": 1}


async def test_unknown_posting(server: Server) -> None:
    await server.fault("unknown_posting")

    subjects = SubjectProposals.model_validate_json(await server.ask()).subjects
    plan = orjson.loads(await server.ask("ProjectPlan"))

    assert [subject.posting_ids for subject in subjects] == [[UNKNOWN_POSTING]] * 2
    assert plan["evidence"][0]["posting_id"] == UNKNOWN_POSTING
    assert plan["evidence"][0]["quote"] != "Java 경험"


async def test_faults_do_not_leak_into_later_answers(server: Server) -> None:
    await server.behave(
        faults=[{"kind": "schema_violation", "times": 1}, {"kind": "unknown_posting", "times": 1}]
    )

    await server.ask()
    await server.ask()

    assert orjson.loads(await server.ask()) == {"subjects": [SUBJECT, SUBJECT]}


async def test_a_fault_meets_its_schema_alone(server: Server) -> None:
    await server.behave(
        faults=[
            {"kind": "server_error", "schema": "ProjectPlan"},
            {"kind": "rate_limit", "schema": "embeddings", "times": 1},
        ]
    )

    await server.ask()
    await server.ask(schema=None)
    with pytest.raises(InternalServerError):
        await server.ask("ProjectPlan")
    with pytest.raises(RateLimitError):
        await server.embed()
    await server.embed()

    calls = await server.calls()
    assert calls["by_schema"] == {"SubjectProposals": 1, "text": 1, "ProjectPlan": 1, "embeddings": 2}
    assert calls["failed"] == {"server_error": 1, "rate_limit": 1}
    assert calls["answered"] == 3


def test_probability_and_latency_are_drawn_and_repeat_with_a_seed() -> None:
    config = FaultConfig.model_validate(
        {
            "latency": {"mean_seconds": 2, "deviation_seconds": 0.5},
            "embedding_latency": {"mean_seconds": 0.25},
            "faults": [{"kind": "server_error", "probability": 0.3}],
            "seed": 1,
        }
    )
    injector, again = FaultInjector(config), FaultInjector(config)
    faults = [injector.fault("text", {}) is not None for _ in range(2_000)]
    drawn = [injector.latency("text") for _ in range(2_000)]

    assert 0.25 < statistics.mean(faults) < 0.35
    assert statistics.mean(drawn) == pytest.approx(2, abs=0.1)
    assert statistics.stdev(drawn) == pytest.approx(0.5, abs=0.1)
    assert injector.latency("embeddings") == 0.25
    assert faults == [again.fault("text", {}) is not None for _ in range(2_000)]


def test_latency_is_never_negative() -> None:
    injector = FaultInjector(
        FaultConfig.model_validate({"latency": {"mean_seconds": 0, "deviation_seconds": 1}})
    )

    assert min(injector.latency("text") for _ in range(100)) == 0


async def test_constant_latency(server: Server) -> None:
    await server.behave(latency={"mean_seconds": 0.4})

    before = time.perf_counter()
    await server.ask()

    assert 0.4 <= time.perf_counter() - before < scaled(1.5)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_noticed(server: Server, stream: bool) -> None:
    await server.behave(latency={"mean_seconds": FOR_EVER})
    asking = asyncio.create_task(server.ask(stream=stream))
    await server.until(in_flight=1)

    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    left = time.time()
    calls = await server.until(in_flight=0)

    assert calls["cancelled"] == 1
    assert calls["answered"] == 0
    assert calls["calls"][0]["outcome"] == "cancelled"
    assert calls["calls"][0]["finished"] - left < scaled(0.2)


async def test_a_client_that_leaves_in_the_middle_of_a_stream_is_noticed(server: Server) -> None:
    await server.behave(latency={"mean_seconds": scaled(2)})
    async for _ in (stream := await server.ask(stream=True)):
        break
    await stream.close()
    left = time.time()
    calls = await server.until(in_flight=0)

    assert calls["cancelled"] == 1
    assert calls["calls"][0]["finished"] - left < scaled(0.2)


async def test_calls_are_kept_as_rows_and_tokens_are_summed(server: Server) -> None:
    await server.ask()
    async for _ in await server.ask(schema=None, prompt="가" * 100, stream=True):
        pass
    calls = await server.until(in_flight=0)
    first, second = calls["calls"]

    assert set(first) == {"n", "schema", "started", "finished", "outcome", "stream", "model"}
    assert (first["n"], first["schema"], first["stream"], first["model"]) == (
        1,
        "SubjectProposals",
        False,
        "any",
    )
    assert (second["n"], second["schema"], second["stream"]) == (2, "text", True)
    assert second["outcome"] == "answered"
    assert second["started"] <= second["finished"]
    assert calls["prompt_tokens"] == 3 + 73
    assert calls["completion_tokens"] > 100


def test_the_last_thousand_calls_are_kept() -> None:
    calls = Calls()
    for _ in range(1_003):
        with calls.track("text", "any") as call:
            call.outcome = "answered"
    kept = calls.as_json()

    assert (kept["total"], kept["answered"]) == (1_003, 1_003)
    assert [row["n"] for row in kept["calls"]] == list(range(4, 1_004))


async def test_reset(server: Server) -> None:
    await server.behave(latency={"mean_seconds": 9}, faults=[{"kind": "server_error"}])
    with pytest.raises(InternalServerError):
        await server.ask()

    reset = (await server.request("DELETE", "/offline/behaviour")).json()
    counters = (await server.request("DELETE", "/offline/calls")).json()

    assert reset["faults"] == []
    assert reset["latency"] == {"mean_seconds": 0.0, "deviation_seconds": 0.0}
    assert counters["total"] == 0
    assert counters["calls"] == []
    await server.ask()


async def test_a_reset_while_a_call_is_in_flight(server: Server) -> None:
    await server.behave(latency={"mean_seconds": scaled(0.5)})
    asking = asyncio.create_task(server.ask())
    await server.until(in_flight=1)

    counters = (await server.request("DELETE", "/offline/calls")).json()
    await asking

    assert (counters["in_flight"], counters["total"]) == (1, 0)
    assert (await server.until(in_flight=0))["answered"] == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        {"latency": {"mean_seconds": -1}},
        {"faults": [{"kind": "flood"}]},
        {"faults": [{"kind": "timeout", "times": 0}]},
        {"faults": [{"kind": "timeout", "probability": 2}]},
        {"speed": 3},
    ],
)
async def test_a_wrong_behaviour_is_refused_and_changes_nothing(server: Server, behaviour: Any) -> None:
    await server.behave(embedding_latency={"mean_seconds": 0.01})

    refused = await server.request("PUT", "/offline/behaviour", json=behaviour)
    still = (await server.request("GET", "/offline/behaviour")).json()

    assert refused.status_code == 400
    assert refused.json()["error"]["param"]
    assert still["embedding_latency"]["mean_seconds"] == 0.01
