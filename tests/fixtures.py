"""Fixtures: the real embedded servers, started once a test run in a home of their own.

PostgreSQL is one for all processes of the run. Redis and the offline model are each process's own:
tests look at all keys of the one and steer the other.

Nothing here reaches beyond this machine: a socket that wants to is refused (`_loopback_only`), so a
test that would ask a real model fails.
"""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ingest.load import SAMPLES, load
from local.servers import embedded_servers
from serve.context import AppContext, open_app_context
from tests.conftest import HOME
from tests.databases import cloned, create, with_database
from tests.offline import Offline
from tests.pace import time_limit
from tools.core.settings import Settings
from tools.retrieval.analyser import Analyser
from tools.services import open_services

TEMPLATE = "samples_template"


@pytest.fixture(scope="session", autouse=True)
def _loopback_only() -> Iterator[None]:
    """Refuses connections of this process to anything but loopback."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise PermissionError(f"a test tried to reach {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Takes back what a command that ran in this process has set: it writes to a stream that is closed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    if root.handlers != handlers:
        root.handlers[:] = handlers
        root.setLevel(level)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def home(pytestconfig: pytest.Config) -> Path:
    """The home of this test run."""
    return pytestconfig.stash[HOME]


@pytest.fixture(scope="session")
def embedded(home: Path) -> Iterator[Settings]:
    """Settings that name the embedded servers. Their limits are those of a hang: a test of a limit sets
    its own."""
    unused = "unused"
    shared = Settings(home=home / "all", redis_url=unused, openai_api_key=SecretStr(unused))
    with embedded_servers(shared) as joined:
        given = Settings(
            home=home / os.environ.get("PYTEST_XDIST_WORKER", "alone"),
            database_url=joined.database_url,
            # What a test has the model do, it does: nobody asked the same before. Tests of the cache set it.
            cache_megabytes=0,
            model_timeout_seconds=time_limit(),
            model_retries=1,
            # What fails in one test is asked again in the next.
            model_circuit_seconds=0.01,
            run_timeout_seconds=2 * time_limit(),
        )
        with embedded_servers(given) as settings:
            yield settings


class SharedAnalyser(Analyser):
    """The analyser of all services of a test process: each would load Kiwi for itself, for seconds."""

    async def aclose(self) -> None:
        """Goes on, for the next."""


@pytest.fixture(scope="session", autouse=True)
async def _shared_analyser() -> AsyncIterator[None]:
    """Has the services of this process share an analyser; those of other event loops have their own."""
    shared, loop = SharedAnalyser(), asyncio.get_running_loop()

    def analyser() -> Analyser:
        return shared if asyncio.get_running_loop() is loop else Analyser()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tools.services.Analyser", analyser)
        yield
    await Analyser.aclose(shared)


@pytest.fixture(scope="session")
async def samples_template(embedded: Settings, home: Path) -> str:
    """A database with the sample postings, to be cloned. Its name."""
    made = home / "samples are loaded"
    with (home / "samples.lock").open("w") as lock:
        # Whichever process comes first loads them; the others wait.
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not made.exists():
            await create(embedded, TEMPLATE)
            async with open_services(with_database(embedded, TEMPLATE)) as services:
                await load(services, [SAMPLES])
            made.touch()
    return TEMPLATE


@pytest.fixture(scope="session")
async def settings(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings with a database that holds the sample postings; no test writes to it."""
    async with cloned(embedded, samples_template) as own:
        yield own


@pytest.fixture
async def own(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings with a database of the test's own that holds the sample postings. No other test's worker
    looks at its queue."""
    async with cloned(embedded, samples_template) as settings:
        yield settings


@pytest.fixture
async def empty_settings(embedded: Settings) -> AsyncIterator[Settings]:
    """Settings with an empty database of the test's own."""
    async with cloned(embedded, "template1") as own:
        yield own


@pytest.fixture(scope="session")
async def app_context(settings: Settings) -> AsyncIterator[AppContext]:
    """What a worker has open that does no background runs, on the sample postings. Tests make sessions of
    their own with it."""
    async with open_app_context(settings, working=False) as opened:
        yield opened


@pytest.fixture
async def offline(embedded: Settings) -> AsyncIterator[Offline]:
    """The offline model's controls; its behaviour and its counters are reset before and after."""
    async with Offline.of(embedded) as controls:
        await controls.reset()
        yield controls
        await controls.reset()
