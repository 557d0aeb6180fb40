"""A way to PostgreSQL on which, when it is told so, nothing comes through any more: neither an answer nor an
end, as with a server that hangs or a network that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

from tools.core.settings import Settings


class Stalling:
    """The way; `stall` and `resume` it."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._open = asyncio.Event()
        self._open.set()

    def stall(self) -> None:
        """From now on nothing comes through."""
        self._open.clear()

    def resume(self) -> None:
        """What was held comes through again."""
        self._open.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        with suppress(OSError):
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._socket)
            await asyncio.gather(self._carry(reader, upstream_writer), self._carry(upstream_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def stalling(settings: Settings) -> AsyncIterator[tuple[Settings, Stalling]]:
    """Yields settings whose PostgreSQL is behind such a way."""
    url = urlsplit(settings.database_url or "")
    way = Stalling(f"{parse_qs(url.query)['host'][0]}/.s.PGSQL.5432")
    server = await asyncio.start_server(way.accept, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    try:
        yield (
            settings.model_copy(update={"database_url": f"postgresql://postgres@127.0.0.1:{port}{url.path}"}),
            way,
        )
    finally:
        way.resume()
        server.close()
