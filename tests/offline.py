"""The offline model's controls, as tests use them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import aiohttp

from local.servers.files import server_files
from tests.pace import scaled, time_limit
from tools.core.settings import Settings

FOR_EVER = 600.0
"""A latency, in seconds, that no test waits out: the longest that the offline model takes."""


SECRET = "what-only-the-starter-knows"  # noqa: S105 - of models that tests start
OPENS = {"Authorization": f"Bearer {SECRET}"}
"""The headers that open their controls."""


class Offline:
    """Sets the latency and the faults of a running offline model and reads its counters."""

    def __init__(self, base_url: str, secret: str = SECRET) -> None:
        self._root = base_url.removesuffix("/v1") + "/offline"
        self._secret = secret

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The controls of the embedded model of `settings`."""
        assert settings.openai_base_url is not None
        return cls(settings.openai_base_url, server_files("model", settings.home).secret.read_text())

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._secret}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def behave(self, **behaviour: Any) -> None:
        """Puts a behaviour in force: `latency`, `embedding_latency`, `faults`."""
        async with self._session.put(f"{self._root}/behaviour", json=behaviour) as response:
            assert response.status == 200, await response.text()

    async def calls(self) -> dict[str, Any]:
        """Returns the counters."""
        async with self._session.get(f"{self._root}/calls") as response:
            counters: dict[str, Any] = await response.json()
            return counters

    async def working_on(self, schema: str) -> None:
        """Waits until a call for `schema` has begun."""
        async with asyncio.timeout(time_limit()):
            while schema not in (await self.calls())["by_schema"]:
                await asyncio.sleep(0.02)

    async def in_flight(self, number: int) -> dict[str, Any]:
        """Returns the counters as soon as `number` calls are in flight, within two seconds."""
        async with asyncio.timeout(scaled(2)):
            while (counters := await self.calls())["in_flight"] != number:
                await asyncio.sleep(0.02)
            return counters

    async def reset(self) -> None:
        """Back to no latency, no faults and counters at zero."""
        for what in ("behaviour", "calls"):
            async with self._session.delete(f"{self._root}/{what}") as response:
                assert response.status < 300, await response.text()
