"""Following a run as a client does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from tests.pace import time_limit
from tests.serve.processes import GENERATE

LAST = ("result", "error")


@dataclass(frozen=True)
class Seen:
    """A server-sent event."""

    id: str | None
    type: str
    data: dict[str, Any]


async def asked(
    client: httpx.AsyncClient, kind: str = "generate", *, key: str | None = None, **given: Any
) -> dict[str, Any]:
    """Starts a run; the run as it was answered."""
    headers = {} if key is None else {"Idempotency-Key": key}
    body = {"kind": kind, "input": given or GENERATE}
    response = await client.post("/runs", json=body, headers=headers)
    assert response.status_code == 202, response.text
    run: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/runs/{run['run_id']}"
    return run


async def watched(client: httpx.AsyncClient, run_id: str, after: str | None = None) -> AsyncIterator[Seen]:
    """Yields the events of one connection, to its end."""
    headers = {} if after is None else {"Last-Event-ID": after}
    async with client.stream("GET", f"/runs/{run_id}/events", headers=headers) as response:
        if response.status_code == 204:
            return
        assert response.status_code == 200, await response.aread()
        seen: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if name:
                seen[name] = value
            elif "event" in seen:
                data = orjson.loads(seen["data"])
                assert data["type"] == seen["event"]
                yield Seen(seen.get("id"), seen["event"], data)
                seen = {}


async def all_of(client: httpx.AsyncClient, run_id: str, after: str | None = None) -> list[Seen]:
    """Watches to the end of the run."""
    async with asyncio.timeout(time_limit()):
        return [event async for event in watched(client, run_id, after)]


async def run_of(client: httpx.AsyncClient, run_id: str) -> dict[str, Any]:
    """Returns a run as the service shows it."""
    response = await client.get(f"/runs/{run_id}")
    assert response.status_code == 200, response.text
    run: dict[str, Any] = response.json()
    return run


async def until_state(client: httpx.AsyncClient, run_id: str, *states: str) -> dict[str, Any]:
    """Waits until a run is in one of the states; the run."""
    async with asyncio.timeout(time_limit()):
        while (run := await run_of(client, run_id))["state"] not in states:
            await asyncio.sleep(0.05)
    return run
