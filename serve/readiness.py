"""Whether this worker can serve: a write, a read and a query now, and what is known of the model.

`/readyz` wants no key, and whoever asks may ask often. So one question to each store and to the model is
under way at a time, whoever waits for its answer; and the model, which is paid for and may be slow, is
asked in the background, once a minute, and never waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from psycopg_pool import PoolTimeout
from redis.asyncio import Redis

from graph.errors import to_service_error
from graph.sessions.views import SERVICE_VERSION
from tools.core.database import CONNECTION_OPTIONS, Connection
from tools.core.errors import InternalError, StoreUnavailableError
from tools.core.redis_client import check_round_trip
from tools.services import Services

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 0.8
"""Within this the stores have answered, or have not: a probe's usual patience is a second."""
STORE_SECONDS = 5.0
"""After this a question to a store is given up, and the next caller asks anew."""
MODEL_SECONDS = 30.0
MODEL_BELIEVED_SECONDS = 60.0
"""How long an answer of the model, or its failure, is believed."""

Facts = dict[str, Any]


class _Question:
    """Something that is asked once at a time."""

    def __init__(self, ask: Callable[[], Awaitable[Facts]], limit_seconds: float) -> None:
        self._ask = ask
        self._limit_seconds = limit_seconds
        self._asking: asyncio.Task[Facts] | None = None
        self.known: Facts | None = None
        """The last answer, whether it was good or bad."""
        self.known_at = 0.0

    def ask(self) -> asyncio.Task[Facts]:
        """Asks, unless somebody does."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        return self._asking

    async def within(self, seconds: float) -> Facts:
        """Asks and waits so long; the question goes on without its caller."""
        asking = self.ask()
        await asyncio.wait({asking}, timeout=seconds)
        if asking.done():
            return asking.result()
        return {"ok": False, "message": f"no answer within {seconds:g} seconds"}

    async def aclose(self) -> None:
        while self._asking is not None and not self._asking.done():
            # Python 3.11 may swallow a cancellation that meets the end of a command to Redis.
            self._asking.cancel()
            await asyncio.wait({self._asking}, timeout=0.1)

    async def _answer(self) -> Facts:
        try:
            async with asyncio.timeout(self._limit_seconds):
                self.known = {"ok": True, **await self._ask()}
        except TimeoutError:
            self.known = {"ok": False, "message": f"no answer within {self._limit_seconds:g} seconds"}
        except Exception as error:
            ours = to_service_error(error)
            if isinstance(ours, InternalError):
                logger.exception("a readiness check failed")
            self.known = {"ok": False, "message": ours.message}
        self.known_at = time.monotonic()
        return self.known


class Readiness:
    """Asks what a worker depends on. Close it before the services."""

    def __init__(self, services: Services, redis: Redis) -> None:
        """`redis` is a client without patience: what it is told is the answer."""
        self._services = services
        self._own_redis = redis
        self._postgres = _Question(self._ask_postgres, STORE_SECONDS)
        self._redis = _Question(self._ask_redis, STORE_SECONDS)
        self._model = _Question(self._ask_model, MODEL_SECONDS)

    async def report(self) -> Facts:
        """Returns `ready`, `offline`, `embeddings_offline`, `version`, and of each of the `parts` whether it
        is `ok`, what it is, and a `message` where it is not; the model is `ok: null` while nothing is
        known of it."""
        postgres, redis = await asyncio.gather(
            self._postgres.within(ANSWER_SECONDS), self._redis.within(ANSWER_SECONDS)
        )
        return {
            "ready": postgres["ok"] and redis["ok"],
            "offline": self._services.settings.offline,
            "embeddings_offline": self._services.settings.embeddings_offline,
            "version": SERVICE_VERSION,
            "parts": {
                "postgres": postgres,
                "redis": redis,
                "model": self._known_of_the_model(),
                "prompts": self._prompts(),
            },
        }

    async def aclose(self) -> None:
        """Stops what is being asked."""
        await asyncio.gather(*(question.aclose() for question in (self._postgres, self._redis, self._model)))

    async def _ask_postgres(self) -> Facts:
        services = self._services
        try:
            async with services.pool.connection(timeout=ANSWER_SECONDS / 2):
                pass
        except PoolTimeout:
            # The pool does not say why: a connection of our own is told.
            async with await Connection.connect(str(services.settings.database_url), **CONNECTION_OPTIONS):
                raise StoreUnavailableError(
                    "All connections of this worker to PostgreSQL are in use. Ask again in a moment; if that "
                    "stays so, raise CHECKERBOARD_DATABASE_POOL.",
                    store="postgresql",
                ) from None
        corpus = await services.postings.corpus()
        read_only = await services.postings.read_only()
        return {
            "postings": corpus.postings,
            "corpus_revision": corpus.revision,
            "embedding_model": services.embedder.model_name,
            "embedding_dimensions": services.embedder.dimensions,
            # Runs only read it.
            "warning": "read-only: nothing can be loaded, and no prompts be changed" if read_only else None,
        }

    async def _ask_redis(self) -> Facts:
        await check_round_trip(self._own_redis)
        info = await self._own_redis.info("server")
        return {"version": info.get("valkey_version") or info["redis_version"]}

    async def _ask_model(self) -> Facts:
        """Asks for one embedding, the cheapest call that shows the key and the network work."""
        return {"dimensions": len(await self._services.embedder.query("ready?"))}

    def _known_of_the_model(self) -> Facts:
        age = time.monotonic() - self._model.known_at
        known = self._model.known
        if known is None or age > MODEL_BELIEVED_SECONDS:
            self._model.ask()
        return {
            **(known or {"ok": None, "message": "being asked for the first time; not yet known"}),
            "asked_seconds_ago": None if known is None else round(age, 1),
            "chat_model": self._services.chat.model_name,
            "embedding_model": self._services.embedder.model_name,
        }

    def _prompts(self) -> Facts:
        """What the worker answers from. A warning (the hub or Redis is away, a set does not fit) leaves it
        ready: it answers from its last good prompts, or the bundled ones."""
        registry = self._services.prompts
        hub = sum(not p.version.startswith("sha256:") for p in registry.current.prompts.values())
        return {
            "ok": True,
            "version": registry.current.version,
            "from_hub": hub,
            "bundled": len(registry.current.prompts) - hub,
            "warning": registry.own_warning or registry.shared_warning,
        }
