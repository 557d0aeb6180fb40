"""Characters that break what carries them, in what a model answers: on every way out of the service."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from langserve import RemoteRunnable
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from serve.langserve_routes import PlainJson
from tests.pace import time_limit
from tests.serve.conftest import served
from tools.core.settings import Settings

ODD = "\u2028\u2029\x85\x00\x0b\x0c\x1b\x7f\x9f\ud800\u200b\u202e"
UNCLEAN = re.compile("[\u2028\u2029\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u200b\u202e]")
PROFILE = {"desired_job": "백엔드 개발자", "skills": ["Java"]}


def bent(value: Any, key: str = "") -> Any:
    """An answer with odd characters in every text but ids and what is chosen from a list."""
    if isinstance(value, dict):
        return {name: bent(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [bent(inner, key) for inner in value]
    closed = key in ("posting_id", "posting_ids", "difficulty")
    return f"{value}{ODD}" if isinstance(value, str) and not closed else value


@pytest.fixture(scope="module")
async def address(settings: Settings) -> AsyncIterator[str]:
    """The address of a service whose model's answers are bent."""
    upstream = httpx.AsyncClient(base_url=str(settings.openai_base_url), timeout=time_limit())

    async def chat(request: Request) -> Response:
        answer = (await upstream.post("/chat/completions", content=await request.body())).json()
        message = answer["choices"][0]["message"]
        # Not orjson: a lone surrogate, which can only be escaped, is none of JSON to it.
        message["content"] = json.dumps(bent(orjson.loads(message["content"])))
        return Response(orjson.dumps(answer), media_type="application/json")

    async def embeddings(request: Request) -> Response:
        answer = await upstream.post("/embeddings", content=await request.body())
        return Response(answer.content, media_type="application/json")

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
    ]
    async with (
        upstream,
        running(Starlette(routes=routes)) as url,
        served(settings.model_copy(update={"openai_base_url": url})) as service,
    ):
        yield service


async def test_a_stream_ends_with_its_result_for_langserves_own_client(address: str) -> None:
    runnable = RemoteRunnable(f"{address}/generate/", timeout=time_limit())
    events = [event async for event in runnable.astream({"profile": PROFILE})]
    runnable.sync_client.close()
    await runnable.async_client.aclose()
    assert events[-1]["type"] == "result"
    assert not UNCLEAN.search(str(events))


async def test_no_way_out_has_what_no_way_in_takes(address: str) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
        told = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}})
        session = told.json()["output"]["session_id"]
        again = await client.post("/regenerate/invoke", json={"input": {"session_id": session}})
        seen = await client.get(f"/sessions/{session}")
        events = await client.post("/generate/stream_events", json={"input": {"profile": PROFILE}})
    for answer in (told, again, seen, events):
        assert answer.status_code == 200
        assert not UNCLEAN.search(answer.text)
        assert not re.search(r"\\u(?:2028|2029|0085|0000|000b|001b|d800|200b)", answer.text)


@pytest.mark.parametrize("line_end", ["\x85", "\u2028", "\u2029"])
def test_what_a_stream_carries_is_one_line_whatever_it_says(line_end: str) -> None:
    said = {"text": f"one{line_end}two 백엔드"}
    line = PlainJson().dumps(said)
    assert line.decode().splitlines() == [line.decode()]
    assert orjson.loads(line) == said
