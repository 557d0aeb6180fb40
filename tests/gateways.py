"""Gateways before the offline model, at addresses of their own: providers, each up or down for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from tests.pace import time_limit
from tools.core.settings import Settings


class Gateway:
    """One of them. `asked` are the models of the questions that came, with `embedding` for each embedding;
    `answer` is given instead of the model's, where it is set, to what is no embedding."""

    def __init__(self, upstream: httpx.AsyncClient) -> None:
        self._upstream = upstream
        self.url = ""
        self.asked: list[str] = []
        self.answer: Response | None = None

    def fail(self) -> None:
        """The provider is down from here on."""
        self.answer = Response("", 503)

    def limit(self, seconds: float) -> None:
        """The provider asks to be left alone for so long."""
        said = orjson.dumps({"error": {"message": "slower", "code": "rate_limit_exceeded"}})
        self.answer = Response(said, 429, {"Retry-After": f"{seconds:g}"}, "application/json")

    def serve(self) -> None:
        """It answers again."""
        self.answer = None

    async def pass_on(self, request: Request) -> Response:
        """Answers a question."""
        body, route = await request.body(), request.url.path.removeprefix("/v1")
        embeds = route == "/embeddings"
        self.asked.append("embedding" if embeds else orjson.loads(body)["model"])
        if self.answer is not None and not embeds:
            return self.answer
        passed = await self._upstream.post(route, content=body, headers={"Content-Type": "application/json"})
        return Response(passed.content, passed.status_code, media_type=passed.headers["content-type"])


@asynccontextmanager
async def gateway_to(settings: Settings) -> AsyncIterator[Gateway]:
    """Yields a gateway to the offline model of `settings`."""
    assert settings.openai_base_url is not None
    async with httpx.AsyncClient(base_url=settings.openai_base_url, timeout=time_limit()) as upstream:
        gateway = Gateway(upstream)
        routes = [Route("/v1/{route:path}", gateway.pass_on, methods=["POST"])]
        async with running(Starlette(routes=routes)) as gateway.url:
            yield gateway
