"""The client of the sources with its pace quickened, and a log of fetches in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ingest.sources.web import Fetch, Web, open_web
from tools.core.settings import Settings

LOOPBACK = Settings(source_networks="127.0.0.0/8, ::1/128")  # type: ignore[arg-type]
"""The stand-ins of sites are on this machine, where no source may be unless a setting says so."""
INTERVAL = 0.005
"""Seconds between two requests, in tests that are not about the pace."""


class Fetches:
    """A log of fetches in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Fetch] = {}

    async def last(self, url: str) -> Fetch | None:
        return self.kept.get(url)

    async def record(self, fetch: Fetch) -> None:
        self.kept[fetch.url] = fetch


@pytest.fixture
def fetches() -> Fetches:
    """What was fetched, over all runs of the test."""
    return Fetches()


@pytest.fixture
async def web(fetches: Fetches) -> AsyncIterator[Web]:
    """The client of all sources."""
    async with open_web(LOOPBACK, fetches, interval_seconds=INTERVAL) as opened:
        yield opened
