"""A served application in a process of its own, which says what CPU it has used and how late its loop was."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evals.bench import defaults, floor
from serve.app import create_app
from serve.server import Server
from tools.core.settings import Settings

START_SECONDS = 120.0
_LAG_EVERY = 0.005
"""Seconds between two looks at the clock while the loop's lag is measured."""
_ROUTE = "/bench/usage"


class Lag:
    """The longest time by which the event loop was late."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watches from now on. It costs CPU: not to be done while that is counted."""
        self.longest = 0.0
        self._watching = asyncio.create_task(self._watch())

    def stop(self) -> float:
        """Returns the longest lag since the start, seconds."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        return self.longest

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY
            await asyncio.sleep(_LAG_EVERY)
            self.longest = max(self.longest, loop.time() - due)


def _with_usage(app: Starlette) -> None:
    """Adds the route of what the process has used."""
    lag = Lag()

    async def usage(request: Request) -> Response:
        if request.query_params.get("lag") == "start":
            lag.start()
            return JSONResponse({})
        own = resource.getrusage(resource.RUSAGE_SELF)
        return JSONResponse({"cpu": own.ru_utime + own.ru_stime, "lag": lag.stop(), "rss_kb": own.ru_maxrss})

    app.router.routes.append(Route(_ROUTE, usage))


def _service(settings: Settings) -> uvicorn.Server:
    return Server(create_app(settings), settings.drain_seconds)


def _plain(create: Callable[[Settings], Starlette]) -> Callable[[Settings], uvicorn.Server]:
    return lambda settings: uvicorn.Server(
        uvicorn.Config(create(settings), log_config=None, access_log=False)
    )


KINDS: dict[str, Callable[[Settings], uvicorn.Server]] = {
    "service": _service,
    "defaults": _plain(defaults.create_app),
    "floor": _plain(floor.create_app),
}
"""What is compared, each as its own start command serves it."""
STREAMS = {
    "service": "/generate/stream",
    "defaults": "/generate/stream_events",
    "floor": "/generate/stream",
}
"""Where one sees what each model writes while it does; LangServe has that in LangChain's events."""


def _serve(kind: str, settings: Settings, port: Connection) -> None:
    server = KINDS[kind](settings)
    app = server.config.app
    assert isinstance(app, Starlette | FastAPI)  # noqa: S101 - KINDS makes no other
    _with_usage(app)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port.send(listener.getsockname()[1])
    server.run([listener])


class Served:
    """A client of a served application."""

    def __init__(self, kind: str, client: aiohttp.ClientSession) -> None:
        self.kind = kind
        self._client = client

    async def ready(self) -> None:
        """Waits until it answers.

        Raises:
            TimeoutError: it does not within START_SECONDS.
        """
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    await self.usage()
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.1)
                else:
                    return

    async def usage(self) -> dict[str, Any]:
        """Returns `cpu`, the seconds of CPU of the process so far, `lag`, the longest lag in seconds since
        `watch_lag`, and `rss_kb`, the most memory it has had."""
        async with self._client.get(_ROUTE) as response:
            response.raise_for_status()
            found: dict[str, Any] = await response.json()
            return found

    async def watch_lag(self) -> None:
        """Measures the loop's lag until the next `usage`."""
        async with self._client.get(_ROUTE, params={"lag": "start"}) as response:
            response.raise_for_status()

    async def generate(self, profile: dict[str, Any], *, streamed: bool = False) -> float:
        """Generates once; `streamed`: watching. Returns the seconds until the first bytes of the answer.

        Raises:
            RuntimeError: it did not answer 200.
        """
        began = time.perf_counter()
        route = STREAMS[self.kind] if streamed else "/generate/invoke"
        async with self._client.post(route, json={"input": {"profile": profile}}) as response:
            first = await response.content.readany()
            seconds = time.perf_counter() - began
            answer = first + await response.read()
            if not response.ok or (streamed and b"title" not in answer):
                raise RuntimeError(f"{self.kind} answered {response.status}: {answer[-500:].decode()}")
            return seconds


@contextmanager
def served(kind: str, settings: Settings) -> Iterator[str]:
    """Serves `kind`; yields its address.

    Raises:
        TimeoutError: it did not start.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(kind, settings, there), daemon=True)
    process.start()
    try:
        if not here.poll(START_SECONDS):
            raise TimeoutError(f"{kind} did not start")
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
