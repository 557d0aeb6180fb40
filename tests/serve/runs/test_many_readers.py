"""Readers that are many, slow, or gone without a word: none costs another anything, nor a worker for long."""

from __future__ import annotations

import asyncio
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from redis.asyncio import Redis

from graph.sessions.record import events_key
from serve.open_files import raise_limit
from serve.runs.store import MAX_EVENTS, RunStore, event_of
from serve.server import CLOSE_SECONDS
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import hold, working
from tests.serve.runs.watching import Seen, all_of, asked, watched
from tools.core.settings import Settings

IDLE = 1_000
DEAF = 20
EVENT_BYTES = 16_384
"""Of each event of a run that no socket's buffers take whole: those of both sides hold a few megabytes."""


@pytest.fixture
async def redis(embedded: Settings) -> AsyncIterator[Redis]:
    async with Redis.from_url(embedded.redis_url or "") as opened:
        yield opened


class LongRun:
    """A run with as many events as are kept, each of EVENT_BYTES, told by a worker that is not there."""

    def __init__(self, redis: Redis) -> None:
        self.run_id = uuid.uuid4().hex
        self._redis = redis
        self._store = RunStore(redis, ttl_seconds=600, queue=uuid.uuid4().hex, bound=1)

    async def begin(self) -> None:
        """Tells all events but the last."""
        await self._store.create(self.run_id, owner="", session_id=self.run_id, kind="generate", asked={})
        begun = await self._store.begin(await self._store.get(self.run_id), 1, "worker")
        assert begun is not None
        told = event_of("task", "x" * EVENT_BYTES).as_json()
        number = begun.events
        while number < MAX_EVENTS - 1:
            batch = [told] * min(100, MAX_EVENTS - 1 - number)
            number = await self._store.tell(self.run_id, begun.attempt, number, batch)

    async def end(self) -> None:
        """Tells the last."""
        await self._store.settle(self.run_id, "succeeded", event_of("result", {}), attempt=1)

    async def is_watched(self) -> bool:
        """Whether a worker has somebody who reads it."""
        ((_, readers),) = await self._redis.pubsub_numsub(events_key(self.run_id))
        return bool(readers)


@pytest.fixture
async def long_run(redis: Redis) -> LongRun:
    run = LongRun(redis)
    await run.begin()
    return run


@contextmanager
def deaf_readers(client: httpx.AsyncClient, run_id: str) -> Iterator[list[socket.socket]]:
    """Sockets that have asked for the events of a run, read nothing, and say nothing any more."""
    with ExitStack() as stack:
        opened = []
        for _ in range(DEAF):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((client.base_url.host, client.base_url.port))
            deaf.sendall(b"GET /runs/%s/events HTTP/1.1\r\nhost: localhost\r\n\r\n" % run_id.encode())
            opened.append(deaf)
        yield opened


async def begun(readers: list[socket.socket]) -> None:
    """Waits until each has something that it does not read."""
    for deaf in readers:
        deaf.setblocking(True)
        deaf.settimeout(time_limit())
        await asyncio.to_thread(deaf.recv, 1, socket.MSG_PEEK)


async def test_a_thousand_idle_streams_on_one_worker(own: Settings, offline: Offline) -> None:
    """Each is shown the run so far, kept alive, and told of its end; and a run beside them is done."""
    assert raise_limit() > IDLE + 256
    async with working(own) as worker:
        await hold(offline, "JobVerdicts")
        run = await asked(worker.client)
        await offline.working_on("JobVerdicts")
        url = worker.client.base_url
        ask = f"GET /runs/{run['run_id']}/events HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        coming, ready = asyncio.Semaphore(50), asyncio.Semaphore(0)

        async def read() -> bytes:
            async with coming:
                reader, writer = await asyncio.open_connection(url.host, url.port)
                writer.write(ask)
                seen = await reader.readuntil(b'"filter_jobs"')
            try:
                seen += await reader.readuntil(b": heartbeat")
                ready.release()
                return seen + await reader.readuntil(b'"run_cancelled"')
            finally:
                writer.close()

        async with asyncio.timeout(time_limit()):
            async with asyncio.TaskGroup() as group:
                reading = [group.create_task(read()) for _ in range(IDLE)]
                for _ in range(IDLE):
                    await ready.acquire()
                await offline.behave()  # the call that is held stays so; the next is answered
                beside = await asked(worker.client)
                assert (await all_of(worker.client, beside["run_id"]))[-1].type == "result"
                assert (await worker.client.delete(f"/runs/{run['run_id']}")).status_code == 202
            told = await all_of(worker.client, run["run_id"])
            for seen in reading:
                assert seen.result().startswith(b"HTTP/1.1 200")
                assert seen.result().count(b"\nevent: ") == len(told)


async def test_a_slow_reader_misses_nothing_and_slows_nobody(
    client: httpx.AsyncClient, long_run: LongRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.connections.UNREAD_SECONDS", time_limit())
    slow = watched(client, long_run.run_id)
    first = await anext(slow)
    await long_run.end()
    seen = await all_of(client, long_run.run_id)
    assert [number(event) for event in seen] == list(range(1, MAX_EVENTS + 1))
    async with asyncio.timeout(time_limit()):
        assert [first, *[event async for event in slow]] == seen


def number(event: Seen) -> int:
    assert event.id is not None
    return int(event.id.partition("-")[2])


async def test_readers_that_are_gone_without_a_word_are_given_up(
    client: httpx.AsyncClient, long_run: LongRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who reads beside them is served meanwhile."""
    with deaf_readers(client, long_run.run_id) as deaf:
        await begun(deaf)
        async with asyncio.timeout(time_limit()):
            async for event in watched(client, long_run.run_id):
                if number(event) == MAX_EVENTS - 1:
                    break
        assert await long_run.is_watched()
        monkeypatch.setattr("serve.connections.UNREAD_SECONDS", scaled(0.3))
        async with asyncio.timeout(time_limit()):
            while await long_run.is_watched():
                await asyncio.sleep(0.02)


async def test_readers_that_are_gone_without_a_word_hold_neither_memory_nor_the_end_of_a_worker(
    own: Settings, long_run: LongRun, tmp_path: Path
) -> None:
    drain, log = 2, tmp_path / "log"
    with log.open("wb") as said:
        async with working(own, log=said.fileno(), CHECKERBOARD_DRAIN_SECONDS=str(drain)) as worker:
            assert worker.process
            memory = psutil.Process(worker.process.pid).memory_info
            before = memory().rss
            with deaf_readers(worker.client, long_run.run_id) as deaf:
                await begun(deaf)
                async for event in watched(worker.client, long_run.run_id):
                    if number(event) == MAX_EVENTS - 1:
                        break
                # Each waits with what was read for it at once, not with the run.
                assert memory().rss - before < DEAF * MAX_EVENTS * EVENT_BYTES / 2
                worker.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(drain + 2 * CLOSE_SECONDS + scaled(20)):
                    assert await worker.process.wait() == 0
    assert "never retrieved" not in log.read_text(encoding="utf-8")
