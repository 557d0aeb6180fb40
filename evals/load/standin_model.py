"""The model of a load test: `python -m evals.load.standin_model UPSTREAM`.

It answers a question that it knows with prepared bytes, after a time that is drawn, and asks the offline
model at UPSTREAM about one that it does not know. Questions are the same when they differ in nothing but a
person's mark (`MARK`) and in ids made of texts that hold it. So every person asks something that no cache has
answered, the answers fit whatever schema the nodes have, and none is worked out while it is measured.

| route | what |
|---|---|
| `POST /v1/chat/completions` · `POST /v1/embeddings` | as OpenAI's; embeddings come at once |
| `PUT /load/latency` | `{"mean_seconds", "deviation_seconds"}` of a chat call; counts begin anew |
| `GET /load/counts` | see `Counts` |
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

MARK = "n%07d"
"""What tells one person's profile from another's: a word of the job that he or she looks for."""
MARKED = re.compile(rb"n\d{7}")
_IDS = re.compile(rb"sub-[0-9a-f]{12}")
"""Ids of subjects are hashes of their texts, in which the mark may be."""
_STREAM = re.compile(rb',"stream(?:_options)?":(?:true|false|\{[^{}]*\})')
"""Whether an answer comes as a stream, which is no part of the question."""
PIECES = 20
"""In how many pieces a streamed answer comes over the second half of its time, as the offline model's."""
BODY_BYTES = 64 << 20
BACKLOG = 8_192
UPSTREAM_SECONDS = 120.0
SHUTDOWN_SECONDS = 1.0
PLAIN_ANSWER = (
    b'{"id":"c","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,"finish_reason":'
    b'"stop","message":{"role":"assistant","content":"ok"}}],"usage":{"prompt_tokens":1,'
    b'"completion_tokens":1,"total_tokens":2}}'
)
"""To a question without a schema, such as the comparator's."""


@dataclass
class Counts:
    """What was asked since the latency was set."""

    answered: int = 0
    """Chat calls."""
    unknown: int = 0
    """Questions, of chat and embeddings, that the offline model was asked."""
    in_flight: int = 0
    most_in_flight: int = 0
    given_up: int = 0
    """Calls whose client left."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """How long the calls of each person took, by mark."""


class StandinModel:
    """Answers, and counts."""

    def __init__(self, upstream: str, upstream_client: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._client = upstream_client
        self._answers: dict[bytes, tuple[bytes, bytes]] = {}
        """By question: the mark of who asked it first, and the answer."""
        self._random = random.Random(2_000)  # noqa: S311 - times, not secrets
        self._mean = self._deviation = 0.0
        self._counts = Counts()

    def app(self) -> web.Application:
        """Returns its routes."""
        app = web.Application(client_max_size=BODY_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/embeddings", self._embeddings),
                web.put("/load/latency", self._set_latency),
                web.get("/load/counts", self._report),
            ]
        )
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.read()
        body, streamed = _STREAM.sub(b"", asked), b',"stream":true' in asked
        counts = self._counts
        seconds = max(0.0, self._random.gauss(self._mean, self._deviation))
        if (mark := MARKED.search(body)) is not None:
            counts.seconds[mark[0].decode()] += seconds
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        try:
            await asyncio.sleep(seconds / 2 if streamed else seconds)
            answer = await self._answer(request.path, body) if b'"response_format"' in body else PLAIN_ANSWER
            response = (
                await _stream(request, answer, seconds / 2)
                if streamed
                else web.Response(body=answer, content_type="application/json")
            )
        except asyncio.CancelledError:
            counts.given_up += 1
            raise
        finally:
            counts.in_flight -= 1
        counts.answered += 1
        return response

    async def _embeddings(self, request: web.Request) -> web.Response:
        answer = await self._answer(request.path, await request.read())
        return web.Response(body=answer, content_type="application/json")

    async def _answer(self, path: str, body: bytes) -> bytes:
        found = MARKED.search(body)
        mark = found[0] if found else b""
        question = hashlib.blake2b(_IDS.sub(b"", MARKED.sub(b"", body)), digest_size=16).digest()
        if question not in self._answers:
            self._counts.unknown += 1
            headers = {"content-type": "application/json"}
            async with self._client.post(
                self._upstream + path[len("/v1") :], data=body, headers=headers
            ) as asked:
                answer = await asked.read()
                if asked.status != web.HTTPOk.status_code:
                    raise web.HTTPBadGateway(body=answer)
            self._answers[question] = mark, answer
        first_mark, answer = self._answers[question]
        return answer.replace(first_mark, mark) if mark and first_mark else answer

    async def _set_latency(self, request: web.Request) -> web.Response:
        latency = await request.json()
        self._mean, self._deviation = latency["mean_seconds"], latency["deviation_seconds"]
        self._counts = Counts()
        return web.json_response({})

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response(vars(self._counts))


async def _stream(request: web.Request, answer: bytes, seconds: float) -> web.StreamResponse:
    """Sends an answer as a stream, over so many seconds."""
    whole = orjson.loads(answer)
    same = {**{name: whole[name] for name in ("id", "created", "model")}, "object": "chat.completion.chunk"}
    text = whole["choices"][0]["message"]["content"]
    size = -(-len(text) // PIECES)
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)

    async def send(choices: list[dict[str, Any]], **more: Any) -> None:
        await response.write(b"data: " + orjson.dumps({**same, "choices": choices, **more}) + b"\n\n")

    for first in range(0, len(text), size):
        delta = {"role": "assistant", "content": text[first : first + size]}
        await send([{"index": 0, "delta": delta, "finish_reason": None}])
        await asyncio.sleep(seconds / PIECES)
    await send([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    await send([], usage=whole["usage"])
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _serve(upstream: str) -> None:
    timeout = aiohttp.ClientTimeout(total=UPSTREAM_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        # The service's connections stay open between two calls for longer than aiohttp's usual 75 seconds.
        runner = web.AppRunner(
            StandinModel(upstream, client).app(),
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=600,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG)
        await site.start()
        _announce(runner.addresses[0])
        await asyncio.Event().wait()


def _announce(address: Any) -> None:
    sys.stdout.write(f"http://{address[0]}:{address[1]}/v1\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("upstream", help="the offline model's base URL")
    asyncio.run(_serve(parser.parse_args().upstream))
