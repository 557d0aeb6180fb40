"""The HTTP side of the stand-in: a server in a thread of its own, and the faults of a bad day."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson
import zstandard
from aiohttp import web
from multidict import MultiMapping

from tests.pace import time_limit

T = TypeVar("T")
KEY = "lsv2_pt_standin"
BODY_LIMIT = 64 * 1024 * 1024
_SAYS = {
    401: "Invalid token",
    403: "Forbidden",
    404: "Not found",
    429: "Rate limit exceeded",
    500: "Internal server error",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, its path without the API's prefix and without a slash at its end."""

    method: str
    path: str
    query: MultiMapping[str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def parts(self) -> list[str]:
        """The path's segments."""
        return self.path.strip("/").split("/")

    def json(self) -> Any:
        """The body, decoded."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Refused(422, "the body is not JSON") from error

    def window(self, limit: int) -> slice:
        """The page that `limit` and `offset` ask for; `limit` here is the one of a request without."""
        asked, offset = int(self.query.get("limit", limit)), int(self.query.get("offset", 0))
        if not 1 <= asked <= 100 or offset < 0:
            raise Refused(422, "limit must be from 1 to 100, offset not below 0")
        return slice(offset, offset + asked)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of JSON."""

    body: Any
    status: int = 200


class Refused(Exception):  # noqa: N818 - it is no fault of the stand-in
    """A request that the real server would refuse. `label` is the envelope's key: `detail`, or `error`
    in the hub's newer routes."""

    def __init__(self, status: int, message: str, label: str = "detail") -> None:
        super().__init__(message)
        self.answer = Answer({label: message}, status)


class Gate:
    """Holds requests until it is opened. Tests await that requests have come, then open it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_open = False
        self._came = 0
        self._held: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def open(self) -> None:
        """Lets everything through, from now on."""
        with self._changed:
            self._is_open = True
            for loop, event in self._held:
                loop.call_soon_threadsafe(event.set)

    async def reached(self, number: int = 1) -> None:
        """Waits until so many requests have come to it since it was made."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: self._came >= number, time_limit())

        assert await asyncio.to_thread(wait), f"{self._came} of {number} requests came"

    async def passed(self) -> None:
        """Waits until it is open; the server calls this."""
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        with self._changed:
            self._came += 1
            self._changed.notify_all()
            self._held.add(entry)
            if self._is_open:
                event.set()
        try:
            await event.wait()
        finally:
            with self._changed:
                self._held.discard(entry)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to requests whose path begins with `path`, `times` of them or until `mend`.

    They wait for `gate` and `seconds`; then, in place of the true answer, `status` is sent with `headers`,
    or the connection is `reset`, or half of the true answer's body is sent as if it were all (`malformed`).
    """

    path: str = "/"
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    gate: Gate | None = None
    seconds: float = 0.0
    reset: bool = False
    malformed: bool = False
    method: str | None = None
    times: int | None = None


class Server:
    """Serves on one port of loopback for its whole life, from a thread of its own, so that it answers
    also while the test's event loop is busy. A context manager, for sync and async tests alike."""

    def __init__(self) -> None:
        self.key = KEY
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request, in order."""
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._faults: list[list[Any]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        host, port = self._socket.getsockname()[:2]
        self._address = (host, port)
        self.url = f"http://{host}:{port}"
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None

    def answer(self, call: Call) -> Answer | None:
        """Answers a request as the real server would; None: it has no such route."""
        raise NotImplementedError

    def fail(self, *faults: Fault) -> None:
        """Puts faults in force; of several that fit a request the first is taken."""
        with self.lock:
            self._faults += [[fault, fault.times] for fault in faults]

    def mend(self) -> None:
        """Takes all faults out of force. What a gate holds stays there until it is opened."""
        with self.lock:
            self._faults.clear()

    def count(self, path: str = "/", method: str | None = None) -> int:
        """How many requests have come whose path begins with `path`."""
        with self.lock:
            return sum(p.startswith(path) and method in (None, m) for m, p in self.requests)

    async def until(self, condition: Callable[[], T]) -> T:
        """Waits for a true answer of `condition`, which is asked at every request and after
        every answer."""

        def wait() -> T:
            with self._changed:
                return self._changed.wait_for(condition, time_limit())

        found = await asyncio.to_thread(wait)
        assert found, "it did not happen"
        return found

    def up(self) -> None:
        """Begins to serve, on the same port as before."""
        assert self._thread is None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="langsmith")
        self._thread.start()
        assert ready.wait(time_limit())

    def down(self) -> None:
        """Refuses connections until `up`. The port stays this server's, so that nobody else takes it."""
        assert self._thread is not None
        self._stop()
        self._thread.join(time_limit())
        assert not self._thread.is_alive()
        self._thread = None
        # Bound, but not listening: a connection is refused.
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(self._address)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self.down()
        self._socket.close()

    async def _serve(self, ready: threading.Event) -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stopping.set)
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True, auto_decompress=False
        )
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            ready.set()
            await stopping.wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "zstd":
            body = zstandard.ZstdDecompressor().stream_reader(body).read()
        path = "/" + re.sub(r"^/(api/)?(v1/)?", "", request.path).rstrip("/")
        call = Call(request.method, path, request.query, request.headers, body)
        with self._changed:
            self.requests.append((call.method, call.path))
            self._changed.notify_all()
            fault = self._fault(call)
        if fault is not None:
            if fault.gate is not None:
                await fault.gate.passed()
            await asyncio.sleep(fault.seconds)
            if fault.reset:
                assert request.transport is not None
                request.transport.abort()
            if fault.status is not None:
                said = orjson.dumps({"detail": _SAYS.get(fault.status, "Something is wrong")})
                return _response(said, fault.status, fault.headers)
        with self._changed:
            answer = self._answered(call)
            self._changed.notify_all()
        said = orjson.dumps(answer.body)
        return _response(said[: len(said) // 2] if fault and fault.malformed else said, answer.status, {})

    def _answered(self, call: Call) -> Answer:
        # As on the real server, /info is open.
        if call.path != "/info" and call.headers.get("x-api-key") != self.key:
            return Answer({"detail": "Invalid token"}, 401)
        try:
            return self.answer(call) or Answer({"detail": "Not Found"}, 404)
        except Refused as refused:
            return refused.answer

    def _fault(self, call: Call) -> Fault | None:
        for entry in self._faults:
            fault: Fault = entry[0]
            if entry[1] != 0 and call.path.startswith(fault.path) and fault.method in (None, call.method):
                entry[1] = None if entry[1] is None else entry[1] - 1
                return fault
        return None


def _response(body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
