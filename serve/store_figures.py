"""Figures that the stores know: how many runs wait, and how far the documents of ingest are.

Ingest is a command, which may have ended long before anybody looks, on a machine that nobody asks. What it
has done is in PostgreSQL, so the service asks there (`docs/decisions/0044-logs-figures-traces.md`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from prometheus_client.core import GaugeMetricFamily
from redis.exceptions import RedisError

from ingest.pipeline.progress import Progress, progress
from serve.runs.runs import Runs
from tools.core import metrics
from tools.core.database import Pool
from tools.core.logs import cause
from tools.core.metrics import StoreFigure

logger = logging.getLogger(__name__)

FRESH_SECONDS = 30.0
"""How long what was asked is shown again. All documents are counted, which takes a second for a million."""
WAIT_SECONDS = 1.0
"""How long who looks waits for the stores. What comes later is shown to the next who looks."""


class StoreFigures:
    """Asks the stores when somebody looks, and not more often than every FRESH_SECONDS."""

    def __init__(self, pool: Pool, runs: Runs) -> None:
        self._pool = pool
        self._runs = runs
        self._known: list[GaugeMetricFamily] = []
        self._asked_at = -FRESH_SECONDS
        self._asking: asyncio.Task[None] | None = None

    async def latest(self) -> Sequence[GaugeMetricFamily]:
        """Returns what the stores said last. What one did not say is left out."""
        if self._asking is None and time.monotonic() - self._asked_at >= FRESH_SECONDS:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=WAIT_SECONDS)
        return self._known

    async def aclose(self) -> None:
        """Asks no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        try:
            self._known = [*await self._queue(), *await self._ingest()]
            self._asked_at = time.monotonic()
        finally:
            self._asking = None

    async def _queue(self) -> list[GaugeMetricFamily]:
        try:
            queued = await self._runs.count_queued()
        except RedisError as error:
            logger.warning("no figures of the queue: Redis is away", extra={"cause": cause(error)})
            return []
        return [_family(metrics.RUNS_QUEUED, {(): queued})]

    async def _ingest(self) -> list[GaugeMetricFamily]:
        try:
            found = await progress(self._pool)
        except psycopg.Error as error:
            logger.warning("no figures of ingest: PostgreSQL is away", extra={"cause": cause(error)})
            return []
        return _ingest_families(found)


def _ingest_families(found: Iterable[Progress]) -> list[GaugeMetricFamily]:
    documents, moved, pages, tokens, usd = (defaultdict[tuple[str, ...], float](float) for _ in range(5))
    for one in found:
        source = (one.source,)
        documents[one.source, one.stage] = one.documents
        moved[source] = max(moved[source], one.moved_at.timestamp())
        pages[source] += one.pages
        tokens[one.source, "input"] += one.input_tokens
        tokens[one.source, "output"] += one.output_tokens
        usd[source] += one.usd
    return [
        _family(metrics.INGEST_DOCUMENTS, documents),
        _family(metrics.INGEST_MOVED, moved),
        _family(metrics.INGEST_PAGES, pages),
        _family(metrics.INGEST_TOKENS, tokens),
        _family(metrics.INGEST_COST, usd),
    ]


def _family(figure: StoreFigure, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(figure.name, figure.documentation, labels=figure.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
