"""A pool of reading processes: an image that crashes or stalls one costs that one, and no more."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from tools.core.processes import bare

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
_LENGTH = 4
_RECYCLED_AFTER = 1000
"""Images a process reads before a fresh one takes its place: what its libraries leak stays little."""
_READY = b"ready"


class _GoneError(Exception):
    """The process ended before it answered."""


class _Worker:
    """One process and the frames that pass to and from it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._log = asyncio.create_task(self._follow())
        self.images = 0

    @classmethod
    async def start(cls, tessdata: Path) -> _Worker:
        """Starts a process, and waits until its models are loaded.

        Raises:
            ParserUnavailableError: it did not come up.
        """
        command = (sys.executable, "-m", "ingest.parsers.local.worker", str(tessdata))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=bare(OMP_THREAD_LIMIT="1")
        )
        worker = cls(process)
        try:
            async with asyncio.timeout(START_SECONDS):
                greeting = await worker._read()
        except (_GoneError, TimeoutError) as error:
            await worker.stop()
            raise ParserUnavailableError(
                "The local parser did not start; the log of this moment says why."
            ) from error
        except BaseException:
            await worker.stop()
            raise
        assert greeting == _READY  # noqa: S101 - both ends are this package
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, image: bytes) -> dict[str, Any]:
        """Sends an image and waits for what was read. Raises _GoneError."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        self.images += 1
        try:
            self._process.stdin.write(len(image).to_bytes(_LENGTH, "big"))
            self._process.stdin.write(image)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _GoneError from error
        answer: dict[str, Any] = orjson.loads(await self._read())
        return answer

    async def _read(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - it was started with pipes
        try:
            head = await self._process.stdout.readexactly(_LENGTH)
            return await self._process.stdout.readexactly(int.from_bytes(head, "big"))
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            raise _GoneError from error

    async def _follow(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was started with pipes
        while chunk := await self._process.stderr.read(4096):
            logger.debug("reading process says", extra={"said": chunk.decode(errors="replace").strip()})

    async def stop(self) -> None:
        """Kills the process and waits for its end: it holds nothing that could be lost."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._log
        # Closes the pipes now; left to the collector, that may happen after the loop's end.
        self._process._transport.close()  # type: ignore[attr-defined]


class Pool:
    """Reads images in up to `size` processes at once; each starts when it is first needed."""

    def __init__(self, tessdata: Path, size: int, limit_seconds: float) -> None:
        self._tessdata = tessdata
        self._limit = limit_seconds
        self._slots: asyncio.LifoQueue[_Worker | None] = asyncio.LifoQueue()
        self._alive: set[_Worker] = set()
        for _ in range(size):
            self._slots.put_nowait(None)

    @property
    def pids(self) -> list[int]:
        """The processes that are alive now."""
        return [worker.pid for worker in self._alive]

    async def read(self, image: bytes) -> dict[str, Any]:
        """Has an image read: `{"blocks", "unread"}` or `{"error"}`.

        Raises:
            DocumentUnreadableError: it took too long, or two processes in a row ended over it.
            ParserUnavailableError: no process could be started.
        """
        worker = await self._slots.get()
        try:
            for _ in range(2):
                if worker is None:
                    worker = await _Worker.start(self._tessdata)
                    self._alive.add(worker)
                try:
                    async with asyncio.timeout(self._limit):
                        return await worker.ask(image)
                except _GoneError:
                    # Perhaps the image's fault, perhaps not: the kernel ends processes, too.
                    logger.warning("a reading process ended over an image", extra={"pid": worker.pid})
                    await self._ended(worker)
                    worker = None
                except TimeoutError as error:
                    logger.warning("an image took too long to read", extra={"pid": worker.pid})
                    await self._ended(worker)
                    worker = None
                    raise DocumentUnreadableError(
                        f"Reading the image took longer than {self._limit:g} seconds."
                    ) from error
                except BaseException:
                    # Left in the middle of an answer, the process can be asked nothing else.
                    await self._ended(worker)
                    worker = None
                    raise
            raise DocumentUnreadableError("The image ended two reading processes, one after the other.")
        finally:
            if worker is not None and worker.images >= _RECYCLED_AFTER:
                await self._ended(worker)
                worker = None
            self._slots.put_nowait(worker)

    async def _ended(self, worker: _Worker) -> None:
        self._alive.discard(worker)
        await worker.stop()

    async def close(self) -> None:
        """Ends every process."""
        for worker in list(self._alive):
            await self._ended(worker)
