"""The parser that needs no key and no network: Tesseract's models on lines that our own layout finds.

Images are read in worker processes, so that one that crashes or stalls its process costs only that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from pydantic import TypeAdapter

from ingest.blocks import mean_confidence
from ingest.documents import Block, Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from tools.core.worker_processes import WorkerEndedError, WorkerProcess

logger = logging.getLogger(__name__)

VERSION = "2"
"""Raised when what is read of the same image changes."""
LIMIT_SECONDS = 120.0  # for one image; a poster of usual size takes one to three
_START_SECONDS = 60.0
_RECYCLE_AFTER = 1000  # images; a fresh process then frees what the libraries leak
_BLOCKS = TypeAdapter(list[Block])


class LocalParser:
    """Reads images in up to `size` processes at once; each starts when it is first needed."""

    name = "local"

    def __init__(self, tessdata: Path, size: int, limit_seconds: float) -> None:
        self._tessdata = tessdata
        self._limit = limit_seconds
        self._workers: set[WorkerProcess] = set()
        self._slots: asyncio.LifoQueue[WorkerProcess | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._slots.put_nowait(None)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, tessdata: Path, *, size: int | None = None, limit_seconds: float = LIMIT_SECONDS
    ) -> AsyncIterator[LocalParser]:
        """Yields a parser with the data in a folder, on as many processes as there are cores; they start with
        the first image and end with the context."""
        parser = cls(tessdata, size or _cores(), limit_seconds)
        try:
            yield parser
        finally:
            for worker in list(parser._workers):
                await parser._stop(worker)

    @property
    def pids(self) -> list[int]:
        """The worker processes that are alive now."""
        return [worker.pid for worker in self._workers]

    async def parse(self, file: RawFile) -> Parsed:
        """Reads one image: PNG, JPEG, WebP, GIF, BMP or TIFF, whatever its name says.

        Raises:
            DocumentUnreadableError: it is no image, is broken, too large, takes too long, or two
                processes in a row ended over it.
            ParserUnavailableError: no process could be started.
        """
        answer = await self._read(file.content)
        if "error" in answer:
            raise DocumentUnreadableError(answer["error"])
        blocks = _BLOCKS.validate_python(answer["blocks"])
        unread = answer["unread"]
        warnings = [f"{unread} {'boxes' if unread > 1 else 'box'} with ink and no text"] if unread else []
        return Parsed(
            blocks=blocks,
            parser=f"{self.name}/{VERSION}",
            confidence=mean_confidence(blocks),
            warnings=warnings,
            cost=Cost(pages=1),
        )

    async def _read(self, image: bytes) -> dict[str, Any]:
        """Has an image read by a worker; returns `{"blocks", "unread"}` or `{"error"}`."""
        worker = await self._slots.get()
        try:
            for _ in range(2):
                if worker is None:
                    worker = await self._start()
                try:
                    return await self._ask(worker, image)
                except WorkerEndedError:
                    # Perhaps the image's fault, perhaps not: the kernel ends processes, too.
                    logger.warning("a reading process ended over an image", extra={"pid": worker.pid})
                    worker = None
                except TimeoutError as error:
                    logger.warning("an image took too long to read", extra={"pid": worker.pid})
                    raise DocumentUnreadableError(
                        f"Reading the image took longer than {self._limit:g} seconds."
                    ) from error
            raise DocumentUnreadableError("The image ended two reading processes, one after the other.")
        finally:
            if worker is not None and worker.messages_sent >= _RECYCLE_AFTER:
                await self._stop(worker)
            self._slots.put_nowait(worker if worker in self._workers else None)

    async def _ask(self, worker: WorkerProcess, image: bytes) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._limit):
                await worker.send(image)
                answer: dict[str, Any] = orjson.loads(await worker.receive())
                return answer
        except BaseException:
            # Left in the middle of an answer, the process can be asked nothing else.
            await self._stop(worker)
            raise

    async def _start(self) -> WorkerProcess:
        worker = await WorkerProcess.start(
            "ingest.parsers.local.worker", str(self._tessdata), OMP_THREAD_LIMIT="1"
        )
        self._workers.add(worker)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await worker.receive()
        except (WorkerEndedError, TimeoutError) as error:
            await self._stop(worker)
            raise ParserUnavailableError(
                "The local parser did not start; the log of this moment says why."
            ) from error
        except BaseException:
            await self._stop(worker)
            raise
        return worker

    async def _stop(self, worker: WorkerProcess) -> None:
        self._workers.discard(worker)
        await worker.stop()


def _cores() -> int:
    # A container may be given fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
