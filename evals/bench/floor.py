"""The floor: the remote work of a generation and nothing else. Starlette, aiohttp, psycopg, one Redis SET."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import orjson
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from evals.bench import yardstick
from tools.core.settings import Settings

_FORMATS = {
    name: {"type": "json_schema", "json_schema": {"name": name, "schema": schema.model_json_schema()}}
    for name, schema in yardstick.SCHEMAS.items()
}
Chat = Callable[[str, str], Awaitable[Any]]
Send = Callable[[str], Awaitable[None]]


def create_app(settings: Settings) -> Starlette:
    """Returns the application. It checks nothing and retries nothing."""
    open_parts: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with (
            aiohttp.ClientSession() as client,
            AsyncConnectionPool(
                str(settings.database_url),
                connection_class=AsyncConnection[DictRow],
                kwargs={"row_factory": dict_row, "autocommit": True},
                configure=register_vector_async,
                max_size=settings.database_pool,
                open=False,
            ) as pool,
            Redis.from_url(str(settings.redis_url)) as redis,
        ):
            open_parts.update(client=client, pool=pool, redis=redis)
            yield

    async def post(route: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
        url = f"{settings.openai_base_url}/{route}"
        async with open_parts["client"].post(url, data=orjson.dumps(body), headers=headers) as response:
            return orjson.loads(await response.read())

    async def chat(name: str, data: str) -> Any:
        answer = await post("chat/completions", _question(settings, name, data))
        return orjson.loads(answer["choices"][0]["message"]["content"])

    async def generate(request: Request) -> Response:
        return Response(await answered(request, chat), media_type="application/json")

    async def stream(request: Request) -> Response:
        await request.body()  # before the response listens whether the client leaves
        events: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def send(text: str) -> None:
            events.put_nowait(b"data: " + orjson.dumps(text) + b"\n\n")

        async def work() -> None:
            answer = await answered(
                request, lambda name, data: _streamed_chat(open_parts["client"], settings, name, data, send)
            )
            events.put_nowait(b"data: " + answer + b"\n\n")
            events.put_nowait(None)

        async def body() -> AsyncIterator[bytes]:
            working = asyncio.create_task(work())
            while (event := await events.get()) is not None:
                yield event
            await working

        return StreamingResponse(body(), media_type="text/event-stream")

    async def answered(request: Request, chat: Chat) -> bytes:
        profile = orjson.loads(await request.body())["input"]["profile"]
        asked: dict[str, Any] = {"model": settings.embedding_model, "input": [profile["desired_job"]]}
        asked |= {"dimensions": settings.embedding_dimensions, "encoding_format": "base64"}
        embedding = (await post("embeddings", asked))["data"][0]["embedding"]
        vector = np.frombuffer(base64.b64decode(embedding), dtype=np.float32)
        async with open_parts["pool"].connection() as connection:
            found = await connection.execute(
                yardstick.SEARCH, {"vector": vector, "k": yardstick.FOUND}, binary=True
            )
            postings = await found.fetchall()
        every = yardstick.lines(postings)
        person = orjson.dumps(profile).decode()
        verdicts = await chat("YardstickVerdicts", f"{person}\n{every}")
        summary = await chat("YardstickSummary", every)
        subjects = await chat("YardstickSubjects", f"{person}\n{orjson.dumps(summary).decode()}")
        project = await chat("YardstickPlan", f"{person}\n{yardstick.lines(postings[: yardstick.CITED])}")
        session_id = uuid.uuid4().hex
        answer = orjson.dumps(
            {"session_id": session_id, "project": project, "summary": summary, **subjects, **verdicts}
        )
        await open_parts["redis"].set(f"floor:{session_id}", answer, ex=3_600)
        return answer

    routes = [
        Route("/generate/invoke", generate, methods=["POST"]),
        Route("/generate/stream", stream, methods=["POST"]),
    ]
    return Starlette(lifespan=lifespan, routes=routes)


def _question(settings: Settings, name: str, data: str) -> dict[str, Any]:
    return {
        "model": settings.chat_model,
        "messages": [
            {"role": "system", "content": yardstick.SYSTEM},
            {"role": "user", "content": f"{yardstick.TASKS[name]}\n{data}"},
        ],
        "response_format": _FORMATS[name],
    }


async def _streamed_chat(
    client: aiohttp.ClientSession, settings: Settings, name: str, data: str, send: Send
) -> Any:
    url = f"{settings.openai_base_url}/chat/completions"
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    body = orjson.dumps(_question(settings, name, data) | {"stream": True})
    texts = []
    async with client.post(url, data=body, headers=headers) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                for choice in orjson.loads(line[6:])["choices"]:
                    if text := choice["delta"].get("content"):
                        texts.append(text)
                        await send(text)
    return orjson.loads("".join(texts))
