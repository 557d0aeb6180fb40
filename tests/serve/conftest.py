"""A served Checkerboard: the real command in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.databases import cloned
from tools.settings import CHECKOUT, Settings

COMMAND = str(Path(sys.executable).with_name("checkerboard"))


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(
    settings: Settings, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Runs `checkerboard serve` with the database and the home of `settings`; yields the process and
    its address, and ends it, dead, stopped or alive."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--port",
        str(port),
        cwd=CHECKOUT,
        env=os.environ
        | {
            "CHECKERBOARD_HOME": str(settings.home),
            "DATABASE_URL": settings.database_url or "",
            "CHECKERBOARD_MODEL_RETRIES": "1",
        }
        | environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        await _alive(address, process)
        yield process, address
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.wait()


@asynccontextmanager
async def served(settings: Settings, **environment: str) -> AsyncIterator[str]:
    """Serves with short limits; yields the address."""
    limits = {"CHECKERBOARD_MODEL_TIMEOUT_SECONDS": "5", "CHECKERBOARD_RUN_TIMEOUT_SECONDS": "20"}
    async with serving(settings, **limits | environment) as (_, address):
        yield address


async def _alive(address: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "the server ended"
            try:
                (await client.get(f"{address}/healthz")).raise_for_status()
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture(scope="session")
async def address(embedded: Settings, samples_template: str) -> AsyncIterator[str]:
    """The address of a server on a database with the sample postings."""
    async with cloned(embedded, samples_template) as settings, served(settings) as running:
        yield running


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of that server."""
    async with httpx.AsyncClient(base_url=address, timeout=30) as opened:
        yield opened
