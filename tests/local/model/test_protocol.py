"""The offline model speaks OpenAI's protocol: over real sockets, with the clients that people use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import httpx
import orjson
import pytest
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel

from local.model.completions import DELTA_CHARACTERS
from local.model.faults import FaultConfig, Latency
from local.model.server import BODY_LIMIT, create_app, running
from nodes.filter_jobs import JobVerdicts
from tests.local.model.steered import FirstPostingFits, without_dictionary
from tests.offline import OPENS, SECRET
from tests.pace import scaled, time_limit
from tools.core.fencing import fence

POSTINGS = fence("postings", [{"posting_id": "p-1"}, {"posting_id": "p-2", "job_title": "<b>서버</b>"}])
MESSAGES: list[Any] = [
    {"role": "system", "content": "Judge.\nschema: JobVerdicts\nAnswer in JSON."},
    {"role": "user", "content": f"desired job: 백엔드\n{POSTINGS}"},
]
AS_VERDICTS: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "JobVerdicts", "schema": JobVerdicts.model_json_schema()},
}


class Weather(BaseModel):
    sunny: bool


@pytest.fixture(scope="module", autouse=True)
def _no_dictionary() -> Iterator[None]:
    with without_dictionary():
        yield


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with running(create_app(FirstPostingFits(), secret=SECRET)) as base_url:
        yield base_url


@pytest.fixture(scope="module")
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="offline", max_retries=0, timeout=time_limit()) as opened:
        yield opened


@pytest.fixture(scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url.removesuffix("/v1"), timeout=time_limit()) as opened:
        yield opened


def ids(content: str | None) -> list[str]:
    return [verdict["posting_id"] for verdict in orjson.loads(content or "")["verdicts"]]


async def test_without_a_schema_it_says_what_it_is(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "안녕"}])

    assert "offline model" in (answer.choices[0].message.content or "")
    assert "JobVerdicts" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "any"
    assert answer.id.startswith("chatcmpl-")
    assert answer.system_fingerprint
    assert abs(answer.created - time.time()) < time_limit()


async def test_usage_counts_korean_dearer_than_english(client: AsyncOpenAI) -> None:
    async def tokens(content: str) -> int:
        answer = await client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": content}]
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        return answer.usage.prompt_tokens

    assert await tokens("가" * 100) == 70 + 3
    assert await tokens("a" * 100) == 25 + 3


async def test_parse_fills_the_schema_from_the_data(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(model="any", messages=MESSAGES, response_format=JobVerdicts)

    assert answer.choices[0].message.parsed is not None
    assert [verdict.posting_id for verdict in answer.choices[0].message.parsed.verdicts] == ["p-1", "p-2"]


async def test_json_object_finds_the_schema_in_the_instructions(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="any", messages=MESSAGES, response_format={"type": "json_object"}
    )

    assert ids(answer.choices[0].message.content) == ["p-1", "p-2"]


async def test_json_object_without_a_schema_is_still_json(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="any", messages=MESSAGES[1:], response_format={"type": "json_object"}
    )

    assert "offline model" in orjson.loads(answer.choices[0].message.content or "")["message"]


async def test_the_conversation_of_a_retry_is_not_data(client: AsyncOpenAI) -> None:
    later = fence("postings", [{"posting_id": "p-3"}])
    answer = await client.chat.completions.create(
        model="any",
        messages=[*MESSAGES, {"role": "assistant", "content": "?"}, {"role": "user", "content": later}],
        response_format=AS_VERDICTS,
    )

    assert ids(answer.choices[0].message.content) == ["p-1", "p-2"]


async def test_content_may_come_in_parts(client: AsyncOpenAI) -> None:
    parts = [{"type": "text", "text": "data\n"}, {"type": "text", "text": POSTINGS}]
    answer = await client.chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": parts}],
        response_format=AS_VERDICTS,
    )

    assert ids(answer.choices[0].message.content) == ["p-1", "p-2"]


@pytest.mark.parametrize("usage", [True, False])
async def test_stream(client: AsyncOpenAI, usage: bool) -> None:
    stream = await client.chat.completions.create(
        model="any",
        messages=MESSAGES,
        response_format=AS_VERDICTS,
        stream=True,
        stream_options={"include_usage": usage},
    )
    chunks = [chunk async for chunk in stream]
    spoken = [chunk for chunk in chunks if chunk.choices]
    deltas = [chunk.choices[0].delta.content or "" for chunk in spoken]

    assert spoken[0].choices[0].delta.role == "assistant"
    assert ids("".join(deltas)) == ["p-1", "p-2"]
    assert max(map(len, deltas)) == DELTA_CHARACTERS
    assert [chunk.choices[0].finish_reason for chunk in spoken] == [None] * (len(spoken) - 1) + ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.usage is not None for chunk in chunks] == [False] * len(spoken) + [True] * usage


async def test_stream_ends_with_done(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/chat/completions", json={"model": "any", "messages": MESSAGES, "stream": True}
    )

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("\n\ndata: [DONE]\n\n")


async def test_a_slow_stream_takes_its_time_and_comes_in_pieces() -> None:
    seconds = scaled(0.4)
    slow = FaultConfig(latency=Latency(mean_seconds=seconds))
    async with (
        running(create_app(FirstPostingFits(), slow)) as url,
        httpx.AsyncClient(timeout=time_limit()) as http,
    ):
        started = time.perf_counter()
        async with http.stream(
            "POST",
            f"{url}/chat/completions",
            json={"model": "any", "messages": MESSAGES, "stream": True, "response_format": AS_VERDICTS},
        ) as answer:
            arrivals = [time.perf_counter() - started async for _ in answer.aiter_raw()]

    assert seconds * 0.4 <= arrivals[0] <= seconds * 0.9
    assert seconds * 0.9 <= arrivals[-1] <= seconds * 5
    assert len(arrivals) > 5


async def test_langchain(url: str) -> None:
    async with httpx.AsyncClient(timeout=time_limit()) as http:
        model = ChatOpenAI(
            model="any",
            base_url=url,
            api_key="offline",
            http_async_client=http,
        )
        structured = model.with_structured_output(JobVerdicts, method="json_schema")
        verdicts = await structured.ainvoke(MESSAGES)
        pieces = [piece async for piece in model.astream("안녕")]

    assert isinstance(verdicts, JobVerdicts)
    assert [verdict.fits for verdict in verdicts.verdicts] == [True, True]
    assert "offline model" in "".join(piece.text for piece in pieces)


async def test_an_unknown_schema_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        await client.chat.completions.parse(model="any", messages=MESSAGES, response_format=Weather)

    assert refused.value.code == "unknown_schema"
    assert refused.value.param == "response_format.json_schema.name"
    assert "'Weather'" in refused.value.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        ({"messages": MESSAGES}, "model"),
        ({"model": "any"}, "messages"),
        ({"model": "any", "messages": []}, "messages"),
        ({"model": "any", "messages": [{"role": "ghost", "content": ""}]}, "messages.0.role"),
        ({"model": "any", "messages": MESSAGES, "n": 2}, "n"),
        ({"model": "any", "messages": MESSAGES, "tools": [{"type": "function"}]}, "tools"),
        (
            {"model": "any", "messages": MESSAGES, "response_format": {"type": "json_schema"}},
            "response_format.json_schema",
        ),
        (
            {
                "model": "any",
                "messages": [{"role": "user", "content": "<postings>\nnot json\n</postings>"}],
                "response_format": AS_VERDICTS,
            },
            "messages",
        ),
    ],
)
async def test_malformed_requests(http: httpx.AsyncClient, body: Any, param: str | None) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = await http.post("/v1/chat/completions", content=content)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_limit_is_refused(http: httpx.AsyncClient, declared: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * (BODY_LIMIT // 8)

    content = b" " * (BODY_LIMIT + 1) if declared else pieces()
    answer = await http.post("/v1/chat/completions", content=content)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_long"


async def test_models_health_and_unknown_routes(client: AsyncOpenAI, http: httpx.AsyncClient) -> None:
    assert [model.id async for model in client.models.list()]
    assert (await http.get("/healthz")).json()["status"] == "ok"
    missing = await http.get("/v1/nothing")
    assert missing.status_code == 404
    assert missing.json()["error"]["message"] == "Not Found"
    wrong = await http.get("/v1/embeddings")
    assert wrong.status_code == 405


async def test_a_crash_of_the_rules_is_an_openai_error() -> None:
    class Broken(FirstPostingFits):
        def answer(self, schema_name: str, blocks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
            raise LookupError(schema_name)

    body = {"model": "any", "messages": MESSAGES, "response_format": AS_VERDICTS}
    async with (
        running(create_app(Broken(), secret=SECRET)) as url,
        httpx.AsyncClient(timeout=time_limit()) as http,
    ):
        answer = await http.post(f"{url}/chat/completions", json=body)
        calls = (await http.get(url.replace("/v1", "/offline/calls"), headers=OPENS)).json()

    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert calls["error"] == 1
    assert calls["in_flight"] == 0


async def test_slow_calls_wait_side_by_side() -> None:
    body = {"model": "any", "messages": MESSAGES}
    slow = FaultConfig(latency=Latency(mean_seconds=1.0))
    # aiohttp, because httpx itself takes long over this many calls at once.
    async with (
        running(create_app(FirstPostingFits(), slow)) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):

        async def status() -> int:
            async with http.post(f"{url}/chat/completions", json=body) as answer:
                await answer.read()
                return answer.status

        started = time.perf_counter()
        statuses = await asyncio.gather(*(status() for _ in range(200)))
        took = time.perf_counter() - started

    assert set(statuses) == {200}
    assert 1.0 <= took < scaled(15)
