"""The offline model's controls, as tests use them."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import aiohttp


class Offline:
    """Sets the latency and the faults of a running offline model and reads its counters."""

    def __init__(self, base_url: str) -> None:
        self._root = base_url.removesuffix("/v1") + "/offline"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
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

    async def reset(self) -> None:
        """Back to no latency, no faults and counters at zero."""
        for what in ("behaviour", "calls"):
            async with self._session.delete(f"{self._root}/{what}") as response:
                assert response.status < 300, await response.text()
