"""Postings that were loaded by an earlier version, or read by other rules: a worker reads them in the
background, so that nobody has to. Until then they are found by their vectors alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import PoolTimeout

from tools.retrieval.analyser import AnalyserError
from tools.services import Services

logger = logging.getLogger(__name__)


@asynccontextmanager
async def filling_terms(services: Services) -> AsyncIterator[None]:
    """Loads the analyser and reads what is to be read, while the block runs. Nothing waits for it."""
    task = asyncio.create_task(_fill(services))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _fill(services: Services) -> None:
    try:
        await services.analyser.start()
        if not await services.postings.read_only():
            await services.terms.fill()
    except AnalyserError:
        logger.exception("the analyser does not start: searches go by meaning alone")
    except (psycopg.Error, PoolTimeout):
        # The next start of a worker goes on.
        logger.exception("postings were not read for their terms")
