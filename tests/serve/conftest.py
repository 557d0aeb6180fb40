"""A served Checkerboard: in this process where that tells the same, over a real socket all the same."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest

from serve.app import create_app
from serve.server import Server
from tests.pace import time_limit
from tests.serve.processes import Worker, working_together
from tools.core.settings import Settings


class _Guest(Server):
    """Leaves the signals of the process to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """Serves with `settings` in this event loop, as `checkerboard serve` would; yields the address.

    A process of its own takes seconds to start. What only such a one shows, its start, its end and what
    happens when it is killed or stopped, is tested with `tests.serve.processes`.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
        # The test and others are at work on the same processor; the limit is tested with a process.
        patch.setattr("serve.readiness.ANSWER_SECONDS", time_limit())
        patch.setattr("serve.readiness.STORE_SECONDS", time_limit())
        server = _Guest(create_app(settings), drain_seconds=0)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            # Only while it starts: a server may live as long as the whole run, and others test the log.
            with pytest.MonkeyPatch.context() as starting:
                starting.setattr("tools.core.logs.configure", lambda *_: None)  # the log is pytest's
                async with asyncio.timeout(time_limit()):
                    while not server.started:
                        assert not serving.done(), "the server ended"
                        await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, time_limit())


@asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Serves with `settings` in this event loop; yields a client."""
    async with (
        served(settings) as running,
        httpx.AsyncClient(base_url=running, timeout=time_limit()) as opened,
    ):
        yield opened


@pytest.fixture(scope="session")
async def address(settings: Settings) -> AsyncIterator[str]:
    """The address of a server on a database with the sample postings."""
    async with served(settings) as running:
        yield running


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of that server."""
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as opened:
        yield opened


@pytest.fixture(scope="session")
async def workers(settings: Settings) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two processes of one service, which no test kills."""
    async with working_together(settings, 2) as (one, other):
        yield one, other
