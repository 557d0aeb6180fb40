"""The stand-in of the model's API: a process that answers prepared bytes.

What it is asked first, by the schema of the answer or the number of texts, it passes on to the offline model
and keeps; from then on those bytes are the answer. So a benchmark measures the service and not the rules of
the offline model, and goes on when nodes and their schemas change. The searched vector is always the first
one's, but for the last bits of its numbers: whoever asks finds the same postings, which the prepared answers
name, and no cache takes two questions for one.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import numpy as np
import orjson
import uvloop
from aiohttp import web

from evals.bench import yardstick

CHUNKS = 500
"""Events of a streamed answer, as a model sends that writes a thousand words."""
CHUNK_SECONDS = 0.005
"""Between two of them: five to ten times as fast as a model writes, and each still comes alone."""
_VARIANTS = 64
"""Vectors that are prepared of each."""
_NOISE = 1e-5
"""Share by which the numbers of a variant differ: the same postings are nearest."""
_START_SECONDS = 120.0


class StandIn:
    """The prepared answers, and where those are asked for that are not prepared."""

    def __init__(self, offline_url: str) -> None:
        self._offline_url = offline_url
        self._completions = {name: _completion(answer) for name, answer in yardstick.ANSWERS.items()}
        self._streams: dict[str, list[bytes]] = {}
        self._embeddings: dict[tuple[int, str], Iterator[bytes]] = {}
        self._one_at_a_time = asyncio.Lock()

    def app(self) -> web.Application:
        """Returns the application."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = orjson.loads(await request.read())
        streamed = asked.pop("stream", False)
        asked.pop("stream_options", None)
        name = asked["response_format"]["json_schema"]["name"]
        if name not in self._completions:
            async with self._one_at_a_time:
                self._completions[name] = await self._ask("chat/completions", orjson.dumps(asked))
        if not streamed:
            return web.Response(body=self._completions[name], content_type="application/json")
        if name not in self._streams:
            self._streams[name] = _events(self._completions[name])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in self._streams[name]:
            await response.write(event)
            await asyncio.sleep(CHUNK_SECONDS)
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        form = body.get("encoding_format", "float")
        prepared = (len(body["input"]), form)
        if prepared not in self._embeddings:
            async with self._one_at_a_time:
                asked = orjson.dumps({**body, "encoding_format": "float"})
                answer = orjson.loads(await self._ask("embeddings", asked))
                self._embeddings[prepared] = itertools.cycle(_variants(answer, form))
        return web.Response(body=next(self._embeddings[prepared]), content_type="application/json")

    async def _ask(self, route: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Authorization": "Bearer offline"}
        url = f"{self._offline_url}/{route}"
        async with (
            aiohttp.ClientSession() as client,
            client.post(url, data=body, headers=headers) as response,
        ):
            response.raise_for_status()
            return await response.read()


def _completion(answer: dict[str, Any]) -> bytes:
    message = {"role": "assistant", "content": orjson.dumps(answer).decode(), "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    usage = {"prompt_tokens": 3_000, "completion_tokens": 300, "total_tokens": 3_300}
    about = {"id": "chatcmpl-0", "object": "chat.completion", "created": 0, "model": "stand-in"}
    return orjson.dumps({**about, "choices": [choice], "usage": usage})


def _events(completion: bytes) -> list[bytes]:
    """Returns a completion as the events of a stream."""
    whole = orjson.loads(completion)
    text = whole["choices"][0]["message"]["content"]
    about = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    cuts = [len(text) * number // CHUNKS for number in range(CHUNKS + 1)]
    deltas = [{"content": text[start:end]} for start, end in itertools.pairwise(cuts)]
    chunks: list[dict[str, Any]] = [
        {**about, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
        for delta in ({"role": "assistant", "content": "", "refusal": None}, *deltas)
    ]
    chunks.append({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**about, "choices": [], "usage": whole["usage"]})
    lines = [*map(orjson.dumps, chunks), b"[DONE]"]
    return [b"data: " + line + b"\n\n" for line in lines]


def _variants(answer: dict[str, Any], form: str) -> list[bytes]:
    random = np.random.default_rng(0)
    first = [np.asarray(row["embedding"], dtype=np.float32) for row in answer["data"]]
    variants = []
    for _ in range(_VARIANTS):
        vectors = [
            (vector * (1 + _NOISE * random.standard_normal(len(vector)))).astype(np.float32)
            for vector in first
        ]
        rows = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode()
                if form == "base64"
                else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        variants.append(orjson.dumps({**answer, "data": rows}))
    return variants


def _serve(offline_url: str, port: Connection) -> None:
    async def main() -> None:
        runner = web.AppRunner(StandIn(offline_url).app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(main())


@contextmanager
def stand_in(offline_url: str) -> Iterator[str]:
    """Runs the stand-in; yields its base URL.

    Raises:
        TimeoutError: it did not start.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(offline_url, there), daemon=True)
    process.start()
    try:
        if not here.poll(_START_SECONDS):
            raise TimeoutError("the stand-in of the model did not start")
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.terminate()
        process.join()
