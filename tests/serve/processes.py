"""Workers as processes of their own, which a test can stop and kill, and what it asks of them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from redis.asyncio import Redis

from graph.sessions.lease import LEASE_SECONDS
from tests import databases
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Answer
from tools.core.settings import CHECKOUT, Settings

COMMAND = str(Path(sys.executable).with_name("checkerboard"))
PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java", "Spring Boot", "MySQL"]}
GENERATE: dict[str, Any] = {"profile": PROFILE}
LOCK_FREE_SECONDS = LEASE_SECONDS + scaled(3)
"""Within this a dead worker's session is free: its lease's life, and what a loaded machine adds."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One `checkerboard serve`, and a client of it; no process where it is served by this one."""

    process: asyncio.subprocess.Process | None
    client: httpx.AsyncClient

    async def ask(self, path: str, given: dict[str, Any], key: str | None = None) -> httpx.Response:
        """Posts `given` as LangServe's input, with `key` as the Idempotency-Key."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post(path, json={"input": given}, headers=headers)

    async def generated(self, key: str | None = None) -> dict[str, Any]:
        """Starts a session; its answer."""
        return answer_of(await self.ask("/generate/invoke", GENERATE, key))

    async def session(self, session_id: str) -> dict[str, Any]:
        """Returns the session as the service shows it."""
        response = await self.client.get(f"/sessions/{session_id}")
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        return shown

    async def answered_once_free(
        self, path: str, given: dict[str, Any], key: str | None = None
    ) -> dict[str, Any]:
        """Asks again while the session is at work, within the life of a dead worker's lease."""
        deadline = time.monotonic() + LOCK_FREE_SECONDS
        while (response := await self.ask(path, given, key)).status_code == 409:
            assert code_of(response) == "run_in_progress"
            assert time.monotonic() < deadline, f"still locked after {LOCK_FREE_SECONDS:.0f} s"
            await asyncio.sleep(0.1)
        return answer_of(response)

    async def kill(self) -> None:
        """Ends the worker as a power cut would."""
        assert self.process
        self.process.kill()
        await asyncio.wait_for(self.process.wait(), time_limit())


def free_port() -> int:
    """Returns a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def working(
    settings: Settings, *words: str, log: int | None = None, **environment: str
) -> AsyncIterator[Worker]:
    """Runs `checkerboard serve` with the stores and the home of `settings`; ends it, dead, stopped or
    alive. What it says goes to `log`, a file descriptor."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--port",
        str(port),
        *words,
        cwd=CHECKOUT,
        stderr=log,
        env=os.environ
        | databases.environment(settings)
        | {
            "CHECKERBOARD_MODEL_RETRIES": "1",
            "CHECKERBOARD_MODEL_TIMEOUT_SECONDS": str(time_limit()),
            "CHECKERBOARD_RUN_TIMEOUT_SECONDS": str(2 * time_limit()),
        }
        | environment,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=time_limit()) as client:
            await _alive(client, process)
            yield Worker(process, client)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(time_limit()):
            await process.wait()


async def eventually(seen: Callable[[], bool], *, within: float | None = None) -> None:
    """Waits until something is seen, at most `within` seconds."""
    async with asyncio.timeout(within or time_limit()):
        while not seen():
            await asyncio.sleep(0.02)


def workers_of(supervisor: int) -> set[int]:
    """The worker processes of a supervisor that live."""
    found = set()
    for child in psutil.Process(supervisor).children():
        with suppress(psutil.NoSuchProcess):  # it ended between being listed and being looked at
            if child.status() != psutil.STATUS_ZOMBIE and "serve.worker" in child.cmdline():
                found.add(child.pid)
    return found


async def _alive(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(time_limit()):
        while True:
            assert process.returncode is None, "the server ended"
            try:
                (await client.get("/healthz")).raise_for_status()
            except httpx.TransportError:
                await asyncio.sleep(0.2)
            else:
                return


@asynccontextmanager
async def working_together(settings: Settings, number: int) -> AsyncIterator[list[Worker]]:
    """Runs `number` workers of one service, started at the same time."""
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as starting:
            started = [
                starting.create_task(stack.enter_async_context(working(settings))) for _ in range(number)
            ]
        yield [worker.result() for worker in started]


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """Returns the answer that came, after a look at its form."""
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()["output"]
    assert Answer.model_validate(answer).project.evidence
    return answer


def code_of(response: httpx.Response) -> str:
    """Returns the code of the error that came."""
    assert response.status_code >= 400, response.text
    return str(response.json()["error"]["code"])


async def hold(offline: Offline, *schemas: str) -> None:
    """Lets no call of `schemas` come back; all others are answered at once."""
    await offline.behave(faults=[{"kind": "timeout", "schema": schema} for schema in schemas])


async def slow(offline: Offline, seconds: float) -> None:
    """Lets each chat call take `seconds`."""
    await offline.behave(latency={"mean_seconds": seconds, "deviation_seconds": 0})


async def answered_calls(offline: Offline) -> list[str]:
    """The schemas of the calls that were answered, in alphabetical order."""
    calls = (await offline.calls())["calls"]
    return sorted(call["schema"] for call in calls if call["outcome"] == "answered")


async def all_held(offline: Offline, number: int) -> None:
    """Waits until `number` calls are in flight and no other follows."""
    seen: list[Any] = []
    async with asyncio.timeout(time_limit()):
        while True:
            calls = (await offline.calls())["calls"]
            if calls == seen and sum(call["finished"] is None for call in calls) == number:
                return
            seen = calls
            await asyncio.sleep(scaled(0.1))


async def nothing_in_flight(offline: Offline, *, within: float) -> None:
    """Waits until no model call is in flight, at most `within` seconds."""
    async with asyncio.timeout(within):
        while (await offline.calls())["in_flight"]:
            await asyncio.sleep(0.02)


async def session_ids(redis: Redis) -> set[str]:
    """The sessions that have a record."""
    return {key.decode().removeprefix("session:") async for key in redis.scan_iter("session:*")}


async def new_session_id(redis: Redis, before: set[str]) -> str:
    """Waits for a session that is not among those `before`."""
    async with asyncio.timeout(time_limit()):
        while not (new := await session_ids(redis) - before):
            await asyncio.sleep(0.02)
    (session_id,) = new
    return session_id


async def mentions(redis: Redis, session_id: str) -> set[str]:
    """The keys that name the session, or whose value does: what Redis knows of it."""
    found = set()
    async for key in redis.scan_iter("*"):
        value = await redis.get(key) if await redis.type(key) == b"string" else None
        if session_id.encode() in key + (value or b""):
            found.add(key.decode())
    return found


async def ended(requests: Sequence[asyncio.Task[httpx.Response]]) -> None:
    """Waits for requests whose worker was killed under them."""
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert all(isinstance(outcome, httpx.TransportError) for outcome in outcomes), outcomes
