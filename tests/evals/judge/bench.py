"""A stand-in for a judge's model: an OpenAI-compatible server whose verdicts a test scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evals.judge.judge import CRITERIA
from local.model.server import running
from tests.completions import completion
from tools.core.fencing import unfence
from tools.core.settings import Settings
from tools.llm.chat import ChatModel
from tools.llm.openai_client import open_http_client

Json = dict[str, Any]
Blocks = dict[str, list[Json]]
Script = Callable[[Blocks], Json]
"""From the fenced blocks of a question to what is answered."""


class Bench:
    """The chat model to judge with, its settings, and the bodies it was asked with."""

    def __init__(self, settings: Settings, chat: ChatModel, bodies: list[Json]) -> None:
        self.settings = settings
        self.chat = chat
        self.bodies = bodies


@asynccontextmanager
async def bench(settings: Settings, script: Script, **update: Any) -> AsyncIterator[Bench]:
    """Yields a chat model that is answered by `script`."""
    bodies: list[Json] = []

    async def complete(request: Request) -> Response:
        body = orjson.loads(await request.body())
        bodies.append(body)
        human = next(m["content"] for m in body["messages"] if m["role"] == "user")
        return completion(orjson.dumps(script(unfence(human))).decode(), refusal=None)

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    async with running(app) as url:
        own = settings.model_copy(
            update={"openai_api_key": SecretStr("a key"), "openai_base_url": url, **update}
        )
        async with open_http_client(own) as http_client:
            yield Bench(own, ChatModel(own, http_client), bodies)


def marks(*scores: int) -> Json:
    """What a judge answers that is asked for marks."""
    return {
        name: {"reason": f"{name}이 그렇다", "score": score}
        for name, score in zip(CRITERIA.values(), scores, strict=True)
    }


def choosing(better: str) -> Json:
    """What a judge answers that is asked which is better."""
    return {"reason": "과제가 더 구체적이다", "better": better}
