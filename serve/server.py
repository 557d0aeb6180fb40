"""The server of one worker: its sockets, its signals, and its end in order."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from sse_starlette.sse import AppStatus

from serve.connections import Connection
from serve.context import AppContext
from serve.drain import Drain
from tools.core.errors import SetupError, WorkerStoppingError

BACKLOG = 2048
CLOSE_SECONDS = 5.0
"""How long answers may take to be written after their runs were stopped."""
LINGER_SECONDS = 1.0
"""How long a connection without a request stays open when another worker takes over: a request may be on
its way, and is answered."""
_TICK_SECONDS = 0.05
LATE_SECONDS = 2.0
"""Connections are looked at once a second. Where more than this lies between two looks, the worker was late:
it read nothing, and no client has used that time up."""
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that end a worker."""


class Server(uvicorn.Server):
    """Serves an app until a signal, and then drains.

    The first signal begins the drain: what runs may end, for `drain_seconds`; then it is stopped, and each
    says so. A second signal stops it at once, a third waits for nothing. Where a supervisor has other
    workers (`heartbeat` is given), SIGTERM hands over to them: this one takes no new connection. SIGINT
    stops the service: connections are taken and refused, so that their clients learn why.
    """

    def __init__(
        self, app: FastAPI, drain_seconds: float, heartbeat: Callable[[], None] | None = None
    ) -> None:
        """Sets `app.state.drain` when it drains. `heartbeat` is called about once a second."""
        # It would cut every stream within half a second of the signal.
        AppStatus.enable_automatic_graceful_drain = False
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # the app heeds those of its own proxies
                backlog=BACKLOG,
                timeout_graceful_shutdown=round(CLOSE_SECONDS),
            )
        )
        self._app = app
        self._drain_seconds = drain_seconds
        self._heartbeat = heartbeat
        self._signals = 0
        self._handing_over = False
        self._checked = time.monotonic()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes the signals for as long as it serves. It ends in order, so none is raised again."""
        before = {number: signal.signal(number, self.handle_exit) for number in ENDS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends sooner with each signal."""
        if not self._signals:
            self._handing_over = self._heartbeat is not None and sig != signal.SIGINT
        self._signals += 1
        self.should_exit = True
        self.force_exit = self._signals > 2  # noqa: PLR2004 - drain, stop, leave

    async def on_tick(self, counter: int) -> bool:
        """Is called ten times a second."""
        if counter % 10 == 0:
            self._check_connections()
            if self._heartbeat is not None:
                self._heartbeat()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets what runs end, stops what is left, and closes."""
        drain: Drain = self._app.state.drain
        drain.started = True
        context: AppContext = self._app.state.app_context
        context.runs.stop()
        until = time.monotonic() + self._drain_seconds
        if self._handing_over:
            for server in self.servers:
                server.close()
            if self.server_state.connections:
                await self._wait(lambda: False, min(until, time.monotonic() + LINGER_SECONDS))
            for connection in self._connections():
                connection.shutdown()
        else:
            drain.refusing = True
            for connection in self._connections():
                if connection.receiving:
                    connection.turn_away(WorkerStoppingError())
        running = set(self.server_state.tasks)
        await self._wait(lambda: all(task.done() for task in running) and context.runs.idle.is_set(), until)
        drain.refusing = True
        await context.stop()
        await self._wait(
            lambda: all(task.done() for task in running), time.monotonic() + CLOSE_SECONDS, signals=2
        )
        await super().shutdown(sockets)

    async def _wait(self, done: Callable[[], bool], until: float, signals: int = 1) -> None:
        """Waits until it is `done`, at most `until`, and not after more than so many `signals`."""
        while not done() and time.monotonic() < until and self._signals <= signals:
            await asyncio.sleep(_TICK_SECONDS)
            self._check_connections()

    def _check_connections(self) -> None:
        now = time.monotonic()
        late = max(0.0, now - self._checked - LATE_SECONDS)
        self._checked = now
        for connection in self._connections():
            connection.patrol(late)

    def _connections(self) -> list[Any]:
        return list(self.server_state.connections)


def bound(host: str, port: int) -> list[socket.socket]:
    """Returns sockets at each address of `host` that this machine has. They do not listen yet.

    Raises:
        SetupError: the host is unknown or not this machine, or the port is taken.
    """
    sockets: list[socket.socket] = []
    problem: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sockets.append(_bound(family, address))
            except OSError as error:
                # `localhost` has an address of IPv6 also where this machine has none.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                problem = error
    except OSError as error:
        problem, sockets = error, []
    if not sockets:
        raise SetupError(
            f"Cannot listen on {host}:{port} ({problem and problem.strerror}). "
            "Choose another port or address with --port and --host, or `make run PORT=8001`."
        ) from problem
    return sockets


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Head and body are two writes: with Nagle's delay the second would wait for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
