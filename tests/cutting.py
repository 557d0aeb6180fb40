"""A TCP proxy before a service that cuts streams off in the middle of an event, or lets them go silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CHUNK = 65_536


@dataclass
class Cutting:
    """A running proxy. What becomes of the streams of events that pass it is told in their order."""

    address: str = ""
    cut_after: list[int] = field(default_factory=list)
    """Of each stream to come: after how many events it is cut off, in the midst of the next. Those that are
    not named are whole."""
    silent: int = 0
    """So many streams to come bring nothing and stay open."""
    streams: int = 0
    """How many streams have been asked for."""
    _upstream: str = ""

    async def wait_for_streams(self, number: int) -> None:
        """Waits until so many streams have been asked for."""
        while self.streams < number:
            await asyncio.sleep(0.02)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = urlsplit(self._upstream)
        upstream_reader, upstream_writer = await asyncio.open_connection(place.hostname, place.port)
        limit: list[int | None] = [None]
        silent = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(CHUNK):
                if data.startswith(b"GET") and b"/events" in data.partition(b"\r\n")[0]:
                    self.streams += 1
                    limit[0] = self.cut_after.pop(0) if self.cut_after else None
                    if self.silent:
                        self.silent -= 1
                        silent.set()
                upstream_writer.write(data)
                await upstream_writer.drain()

        async def answers() -> None:
            seen = b""
            while data := await upstream_reader.read(CHUNK):
                if silent.is_set():
                    continue
                if limit[0] is not None:
                    before, seen = len(seen), seen + data
                    parts = seen.split(b"event: ")
                    if len(parts) > limit[0] + 1:
                        at = len(b"event: ".join(parts[: limit[0] + 1])) + len(b"event: ") + 1
                        writer.write(seen[before:at])
                        await writer.drain()
                        return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for side in (writer, upstream_writer):
                with suppress(OSError):
                    side.close()


@asynccontextmanager
async def cutting(upstream: str) -> AsyncIterator[Cutting]:
    """Runs the proxy before the service at `upstream`."""
    proxy = Cutting(_upstream=upstream)
    connections: set[asyncio.Task[None]] = set()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy._pass(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
