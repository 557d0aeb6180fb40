"""The analyser of search texts and postings, as a process that serves has it: a process of its own, asked in
turn, started anew when it ends.

Kiwi takes some seconds to load, 330 MB, and then about a millisecond for 300 characters. In a thread it would
hold the interpreter while it loads, and a crash of its C++ would be the worker's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import orjson

from tools.core.worker_processes import WorkerEndedError, WorkerProcess
from tools.retrieval.understanding import Understood

logger = logging.getLogger(__name__)

LOAD_SECONDS = 120.0
"""Limit of loading Kiwi: 5 s of CPU, on a machine that does much else."""
ANSWER_SECONDS = 30.0
"""Limit of one answer: a batch of postings takes about a second."""
BATCH = 16
"""Postings read at a time. A query waits for one batch of somebody else's, 0.3 s."""
MAX_CHARS = 20_000
"""Text beyond this is not read."""


class PostingTerms(TypedDict):
    """What a posting is searched by beside its vector."""

    terms: str
    """As pgvector reads a `sparsevec`."""
    families: list[str]


class AnalyserError(Exception):
    """The analyser's process did not start, ended or did not answer, twice."""


class Analyser:
    """Reads search texts and postings. Started by the first call; close it at the end."""

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self.state: Literal["not started", "running", "failed"] = "not started"

    async def start(self) -> None:
        """Waits until Kiwi is loaded. Raises AnalyserError."""
        async with self._turn:
            await self._running()

    async def understand(self, text: str) -> Understood:
        """Returns what a search text asks for. Raises AnalyserError."""
        understood: Understood = await self._ask({"query": text[:MAX_CHARS]})
        return understood

    async def read(self, texts: Sequence[str]) -> list[PostingTerms]:
        """Returns the terms and families of postings, of their search texts. Raises AnalyserError."""
        found: list[PostingTerms] = []
        for start in range(0, len(texts), BATCH):
            some = [text[:MAX_CHARS] for text in texts[start : start + BATCH]]
            found += await self._ask({"postings": some})
        return found

    async def aclose(self) -> None:
        """Ends the process, after the answer it is at."""
        async with self._turn:
            await self._stop()
            self.state = "not started"
        for exchange in list(self._exchanges):
            exchange.cancel()

    async def _ask(self, question: dict[str, Any]) -> Any:
        # Whoever asked may leave; the answer is read all the same, or it would be taken for the next one's.
        exchange = asyncio.create_task(self._exchange(orjson.dumps(question)))
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        return await asyncio.shield(exchange)

    async def _exchange(self, message: bytes) -> Any:
        async with self._turn:
            for attempt in (1, 2):
                process = await self._running()
                try:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await process.send(message)
                        return orjson.loads(await process.receive())
                except (WorkerEndedError, TimeoutError) as error:
                    logger.warning("the analyser's process gave no answer", extra={"attempt": attempt})
                    failure = error
                    await self._stop()
            self.state = "failed"
            raise AnalyserError from failure

    async def _running(self) -> WorkerProcess:
        if self._process is None:
            process = await WorkerProcess.start("tools.retrieval.analyser_process")
            try:
                async with asyncio.timeout(LOAD_SECONDS):
                    await process.receive()
            except (WorkerEndedError, TimeoutError) as error:
                await process.stop()
                self.state = "failed"
                raise AnalyserError from error
            except asyncio.CancelledError:
                await process.stop()
                raise
            self._process, self.state = process, "running"
        return self._process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop()
