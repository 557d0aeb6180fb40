"""Gets the embedding that the settings want to serve, beside live traffic: after an upgrade with another
default, on a machine where the former one's model does not run, or when that stops running.

It embeds the postings where the offline model embeds alone: what costs money is not begun without being asked
for (`checkerboard ingest reembed`). One worker does it, the others look now and then whether it is done.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from graph.sessions.lease import WorkerLease
from ingest.load import reembed
from tools.core.errors import ServiceError
from tools.core.logs import cause
from tools.services import Services

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""How often a worker looks whether another has embedded everything, or tries again what failed."""
CLAIM = "reembedding"
"""The worker that embeds; free when its lease has ended."""
_CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('EXISTS', 'worker:' .. holder) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""


class EmbeddingKeeper:
    """Watches a worker's choice of embeddings. Close it before the services."""

    def __init__(self, services: Services, redis: Redis, lease: WorkerLease) -> None:
        """Starts to watch."""
        self._services = services
        self._redis = redis
        self._lease = lease
        self._task = asyncio.create_task(self._keep())

    async def aclose(self) -> None:
        """Stops; what was embedded stays."""
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _keep(self) -> None:
        choice = self._services.embeddings
        while True:
            await choice.changed.wait()
            choice.changed.clear()
            try:
                await self._embed()
                await choice.settle()
            except (ServiceError, psycopg.Error, RedisError) as error:
                logger.warning(
                    "the postings could not be embedded; tried again", extra={"cause": cause(error)}
                )
                choice.changed.set()
            if not choice.settled:
                await asyncio.sleep(LOOK_SECONDS)

    async def _embed(self) -> None:
        wanted = self._services.embeddings.wanted
        if await self._redis.eval(_CLAIM, 1, CLAIM, self._lease.worker_id):
            logger.warning("postings are embedded by another model", extra={"model": wanted.name})
            count = await reembed(self._services)
            logger.warning("postings were embedded", extra={"model": wanted.name, "postings": count})
