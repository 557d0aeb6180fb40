"""The pace of one host, and its robots.txt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import httpx
from protego import Protego

from ingest.errors import SourceRefusedError, SourceUnavailableError

logger = logging.getLogger(__name__)

AGENT = "checkerboard"
"""The name of this crawler in a robots.txt."""
ROBOTS_SECONDS = 86_400.0
"""How long a robots.txt is valid: RFC 9309, 2.4."""
ROBOTS_BYTES = 512 * 1024
"""How much of it is read: RFC 9309, 2.5, requires at least 500 KiB."""
LONGEST_DELAY = 120.0
"""A site that wants a longer delay between two requests, seconds, is not read."""


class Host:
    """One host: its connections, its pace, its robots.txt.

    `interval` is the time in seconds between the beginnings of two requests, `proxied` whether they go
    through a proxy. A rate limiter of a library
    (aiolimiter) does not fit: the interval changes with `Crawl-delay`, all requests pause together, and
    there is no burst."""

    def __init__(
        self, name: str, client: httpx.AsyncClient, interval: float, *, proxied: bool = False
    ) -> None:
        self.name = name
        self.client = client
        self.proxied = proxied
        self._interval = interval
        self._next = 0.0
        self._paused_until = 0.0
        self._robots: Protego | None = None
        self._robots_until = 0.0
        self._turns = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._refused: str | None = None

    async def turn(self) -> None:
        """Waits until the caller may send a request, first come first served. The next interval counts from
        then, so that no burst follows when the machine has hung for a while."""
        loop = asyncio.get_running_loop()
        async with self._turns:
            # `pause` may be called while the turn is waited for.
            while (wait := max(self._next, self._paused_until) - loop.time()) > 0:  # noqa: ASYNC110 - it is time
                await asyncio.sleep(wait)
            self._next = loop.time() + self._interval

    def pause(self, seconds: float) -> None:
        """Sends nothing to the host for so long."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)

    def refuse(self, how: str) -> SourceRefusedError:
        """Refuses all further requests to the host. Returns the error."""
        self._refused = how
        return self.refusal(how)

    def refusal(self, how: str) -> SourceRefusedError:
        """Returns the error for a request that was refused."""
        return SourceRefusedError(
            f"source refused: {self.name} {how}. "
            "Ask its owner for permission, or take an export of your own.",
        )

    async def require_allowed(self, url: str, fetch: Callable[[str], Awaitable[tuple[int, bytes]]]) -> None:
        """Checks the host's robots.txt, which `fetch` gets once a day.

        Raises:
            SourceRefusedError: it forbids this URL, or the host refused before.
            SourceUnavailableError: it cannot be read, so no URL may be: RFC 9309, 2.3.1.4.
        """
        if self._refused is not None:
            raise self.refusal(self._refused)
        async with self._reading:
            if asyncio.get_running_loop().time() >= self._robots_until:
                await self._read_robots(url, fetch)
        assert self._robots is not None  # noqa: S101 - it was read
        if not self._robots.can_fetch(url, AGENT):
            raise self.refusal(f"forbids {httpx.URL(url).path} in its robots.txt")

    async def _read_robots(self, url: str, fetch: Callable[[str], Awaitable[tuple[int, bytes]]]) -> None:
        try:
            status, content = await fetch(str(httpx.URL(url).join("/robots.txt")))
        except SourceUnavailableError as error:
            raise SourceUnavailableError(
                f"The robots.txt of {self.name} cannot be read, so nothing of it is: {error.message}",
            ) from error
        # No robots.txt allows everything: RFC 9309, 2.3.1.3.
        text = content[:ROBOTS_BYTES].decode("utf-8", "replace") if status == HTTPStatus.OK else ""
        self._robots = Protego.parse(text)
        self._robots_until = asyncio.get_running_loop().time() + ROBOTS_SECONDS
        delay = float(self._robots.crawl_delay(AGENT) or 0)
        if delay > LONGEST_DELAY:
            raise self.refuse(f"wants {delay:g} seconds between two requests")
        if delay > self._interval:
            logger.info("a site wants slower requests", extra={"host": self.name, "seconds": delay})
            self._interval = delay
