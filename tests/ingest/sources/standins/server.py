"""What all stand-ins have in common: they write down what they are asked, and fail on demand."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

CHALLENGE = (
    '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body>'
    '<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1"></script>'
    "<form action='/?__cf_chl_f_tk=abc'></form></body></html>"
)
"""A page that wants to see a person, as Cloudflare sends it with status 403 or 503."""
STORE_DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)
"""What a store of files says, with status 403, of a file that it has not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. `at` is in seconds, of a clock that only goes forward."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next requests whose path holds `path`, `times` of them.

    `how`: `answer` (with `status`, `headers`, `body`), `hang` until the server stops, `reset` the
    connection, `cut` the body in its middle, after announcing all of it.
    """

    how: str = "answer"
    path: str = ""
    times: int = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Site:
    """A server on loopback. Subclasses answer in `answer`; None there is a 404."""

    robots: str | None = None
    """Its robots.txt; None: it has none."""
    etags = True
    gzip = False

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._faults: list[list[Any]] = []
        self._stopping = asyncio.Event()

    def fail(self, *faults: Fault) -> None:
        """Lets requests fail that are yet to come."""
        self._faults += [[fault, fault.times] for fault in faults]

    def paths(self, within: str = "") -> list[str]:
        """The paths that were asked for and hold `within`, without robots.txt."""
        return [a.path for a in self.asked if within in a.path and a.path != "/robots.txt"]

    async def answer(self, request: web.Request) -> web.Response | None:
        """Answers a request as the real site would."""
        raise NotImplementedError

    def json(self, request: web.Request, value: Any, status: int = 200) -> web.Response:
        """An answer of JSON, with an ETag that a conditional request may name."""
        body = orjson.dumps(value)
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self.etags and status == 200:
            headers["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
            if request.headers.get("If-None-Match") == headers["ETag"]:
                return web.Response(status=304, headers={"ETag": headers["ETag"]})
        response = web.Response(status=status, body=body, headers=headers)
        if self.gzip:
            response.enable_compression(web.ContentCoding.gzip)
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serves on a free port of loopback; `url` says where."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            place = web.TCPSite(runner, "127.0.0.1", 0)
            await place.start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            self._stopping.set()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(
            Asked(request.method, request.raw_path, dict(request.headers), body, time.monotonic())
        )
        fault = self._fault(request.raw_path)
        if fault is None:
            return await self._good(request)
        if fault.how == "answer":
            return web.Response(status=fault.status, headers=dict(fault.headers), body=fault.body.encode())
        if fault.how == "hang":
            await self._stopping.wait()
        if fault.how == "cut":
            whole = await self._good(request)
            assert isinstance(whole, web.Response)
            assert isinstance(whole.body, bytes)
            half = web.StreamResponse(headers={"Content-Type": whole.headers["Content-Type"]})
            half.content_length = len(whole.body)
            await half.prepare(request)
            await half.write(whole.body[: len(whole.body) // 2])
        assert request.transport is not None
        request.transport.abort() if fault.how == "reset" else request.transport.close()
        return web.Response()

    async def _good(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/robots.txt":
            if self.robots is None:
                return web.Response(status=404)
            return web.Response(text=self.robots)
        return await self.answer(request) or web.Response(status=404, text="Not Found")

    def _fault(self, path: str) -> Fault | None:
        for entry in self._faults:
            if entry[1] and entry[0].path in path:
                entry[1] -= 1
                found: Fault = entry[0]
                return found
        return None
