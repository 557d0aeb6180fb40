"""The floor: the remote work of a generation and nothing else. Starlette, aiohttp, psycopg, one Redis SET."""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator
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
from starlette.responses import Response
from starlette.routing import Route

from evals.bench import yardstick
from tools.core.settings import Settings


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
        content = f"{yardstick.TASKS[name]}\n{data}"
        answer = await post(
            "chat/completions",
            {
                "model": settings.chat_model,
                "messages": [
                    {"role": "system", "content": yardstick.SYSTEM},
                    {"role": "user", "content": content},
                ],
                "response_format": formats[name],
            },
        )
        return orjson.loads(answer["choices"][0]["message"]["content"])

    async def generate(request: Request) -> Response:
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
        return Response(answer, media_type="application/json")

    formats = {
        name: {"type": "json_schema", "json_schema": {"name": name, "schema": schema.model_json_schema()}}
        for name, schema in yardstick.SCHEMAS.items()
    }
    return Starlette(lifespan=lifespan, routes=[Route("/generate/invoke", generate, methods=["POST"])])
