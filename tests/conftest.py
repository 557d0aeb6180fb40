"""Fixtures: the real embedded servers, started once a test run in a home of their own.

Nothing here reaches beyond this machine: a socket that wants to is refused (`_loopback_only`), so a
test that would ask a real model fails.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from ingest.load import SAMPLES, load
from serve.parts import Parts, open_parts
from tests.databases import cloned, create, with_database
from tests.offline import Offline
from tools.embedded import attached
from tools.services import open_services
from tools.settings import Settings

_OUTSIDE = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "DATABASE_URL",
    "REDIS_URL",
    "LANGSMITH_API_KEY",
    "LANGSMITH_TRACING",
)


def pytest_configure() -> None:
    """Whatever the developer's shell has configured, the tests run on embedded defaults, and the
    property tests try the same examples each time, however slow the machine."""
    hypothesis.settings.register_profile("house", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("house")
    for name in [*_OUTSIDE, *(name for name in os.environ if name.startswith("CHECKERBOARD_"))]:
        os.environ.pop(name, None)


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The home of this test run's embedded servers.

    Not under pytest's own folder: each new run of pytest closes that one to other users, and the
    PostgreSQL of a run that root started would lose its data from under it.
    """
    with tempfile.TemporaryDirectory(prefix="checkerboard-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def embedded(home: Path) -> Iterator[Settings]:
    """Settings that name the embedded servers; short time-outs, so that no test waits long."""
    given = Settings(home=home, model_timeout_seconds=5, model_retries=1, run_timeout_seconds=30)
    with attached(given) as settings:
        yield settings


@pytest.fixture(scope="session")
async def samples_template(embedded: Settings) -> str:
    """A database with the sample postings, to be cloned. Its name."""
    name = "samples_template"
    await create(embedded, name)
    # The tokeniser may still be loading: the first embedding takes as long as that does.
    patient = with_database(embedded, name).model_copy(update={"model_timeout_seconds": 60})
    async with open_services(patient) as services:
        await load(services, [SAMPLES])
    return name


@pytest.fixture
async def settings(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings with a database of the test's own, which holds the sample postings."""
    async with cloned(embedded, samples_template) as own:
        yield own


@pytest.fixture
async def empty_settings(embedded: Settings) -> AsyncIterator[Settings]:
    """Settings with an empty database of the test's own."""
    async with cloned(embedded, "template1") as own:
        yield own


@pytest.fixture
async def parts(settings: Settings) -> AsyncIterator[Parts]:
    """The parts of a worker, on the test's own database."""
    async with open_parts(settings) as opened:
        yield opened


@pytest.fixture
async def offline(embedded: Settings) -> AsyncIterator[Offline]:
    """The offline model's controls; its behaviour and its counters are reset before and after."""
    assert embedded.openai_base_url is not None
    async with Offline(embedded.openai_base_url) as controls:
        await controls.reset()
        yield controls
        await controls.reset()
