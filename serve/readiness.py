"""Whether this worker can serve: a write, a read and a query now, and what is known of the model.

`/readyz` needs no key, so it may be called often. One check of each store and of the model runs at a time,
shared by all callers. The model costs money and may be slow: it is checked in the background, once a minute,
and never waited for.
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
from serve import open_files
from serve.admission import Admission
from serve.outages import model_outage
from tools.core.database import CONNECTION_OPTIONS, Connection
from tools.core.errors import InternalError, StoreUnavailableError
from tools.core.redis_client import check_round_trip
from tools.services import Services

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 0.8
"""How long a caller waits for the stores: probes usually give up after a second."""
STORE_SECONDS = 5.0
"""After this a check of a store ends, and the next caller starts another."""
MODEL_SECONDS = 30.0
MODEL_BELIEVED_SECONDS = 60.0
"""How long the outcome of the model's check is reported before it is checked again."""

Report = dict[str, Any]


class _Check:
    """A check that runs once at a time, shared by all that wait for it."""

    def __init__(self, check: Callable[[], Awaitable[Report]], limit_seconds: float) -> None:
        self._check = check
        self._limit_seconds = limit_seconds
        self._task: asyncio.Task[Report] | None = None
        self.last: Report | None = None
        """The last outcome."""
        self.last_at = 0.0

    def start(self) -> asyncio.Task[Report]:
        """Starts the check, unless it is running."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._task

    async def within(self, seconds: float) -> Report:
        """Starts the check and waits so long; it goes on without its caller."""
        task = self.start()
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
        return {"ok": False, "message": f"no answer within {seconds:g} seconds"}

    async def aclose(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> Report:
        try:
            async with asyncio.timeout(self._limit_seconds):
                self.last = {"ok": True, **await self._check()}
        except TimeoutError:
            self.last = {"ok": False, "message": f"no answer within {self._limit_seconds:g} seconds"}
        except Exception as error:
            failure = to_service_error(error)
            if isinstance(failure, InternalError):
                logger.exception("a readiness check failed")
            self.last = {"ok": False, "message": failure.message}
        self.last_at = time.monotonic()
        return self.last


class ReadinessChecks:
    """Checks what a worker depends on. Close it before the services."""

    def __init__(self, services: Services, redis: Redis, admission: Admission) -> None:
        """`redis` is a client that does not retry."""
        self._services = services
        self._admission = admission
        self._own_redis = redis
        self._postgres = _Check(self._check_postgres, STORE_SECONDS)
        self._redis = _Check(self._check_redis, STORE_SECONDS)
        self._model = _Check(self._check_model, MODEL_SECONDS)

    async def report(self) -> Report:
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
                "model": self._last_of_model(),
                "search": self._search(),
                "prompts": self._prompts(),
                "runs": self._admission.report(),
                "cache": self._services.search_cache.report(),
                "open_files": open_files.report(self._services.settings),
            },
        }

    async def aclose(self) -> None:
        """Stops the running checks."""
        await asyncio.gather(*(question.aclose() for question in (self._postgres, self._redis, self._model)))

    async def _check_postgres(self) -> Report:
        services = self._services
        try:
            async with services.pool.connection(timeout=ANSWER_SECONDS / 2):
                pass
        except PoolTimeout:
            # The pool does not say why: a connection outside of it does.
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
            "warning": "read-only: nothing can be loaded or kept, no prompts be changed, and where "
            "CHECKERBOARD_COOKIE_SECRET is not set, visitors may be known to one worker alone"
            if read_only
            else None,
        }

    async def _check_redis(self) -> Report:
        await check_round_trip(self._own_redis)
        info = await self._own_redis.info("server")
        return {"version": info.get("valkey_version") or info["redis_version"]}

    async def _check_model(self) -> Report:
        """Embeds one text: the cheapest call that needs the key and the network."""
        return {"dimensions": len(await self._services.embedder.query("ready?"))}

    def _last_of_model(self) -> Report:
        age = time.monotonic() - self._model.last_at
        last = self._model.last
        if last is None or age > MODEL_BELIEVED_SECONDS:
            self._model.start()
        outage = model_outage(self._services.chat, self._services.embedder)
        return {
            **(last or {"ok": None, "message": "being asked for the first time; not yet known"}),
            "asked_seconds_ago": None if last is None else round(age, 1),
            "chat_model": self._services.chat.model_name,
            "embedding_model": self._services.embedder.model_name,
            **outage,
            "warning": "; ".join(filter(None, [self._embedding_warning(), outage["warning"]])) or None,
        }

    def _search(self) -> Report:
        """Returns by what postings are searched. Without the analyser the worker is still ready: it
        searches by meaning alone."""
        state = self._services.analyser.state
        return {
            "ok": None if state == "not started" else state == "running",
            "analyser": state,
            "message": "the analyser does not answer: searches go by meaning alone"
            if state == "failed"
            else None,
        }

    def _embedding_warning(self) -> str | None:
        """Returns which embedding serves instead of another and why, and what is not known of it."""
        services = self._services
        warnings = [services.embeddings.warning(), services.embedder.novelty_warning()]
        return "; ".join(filter(None, warnings)) or None

    def _prompts(self) -> Report:
        """Returns which prompts are active. With a warning (the hub or Redis is away, a set does not fit) the
        worker is still ready: it answers from its last good prompts, or the bundled ones."""
        registry = self._services.prompts
        hub = sum(not p.version.startswith("sha256:") for p in registry.current.prompts.values())
        return {
            "ok": True,
            "version": registry.current.version,
            "from_hub": hub,
            "bundled": len(registry.current.prompts) - hub,
            "warning": registry.own_warning or registry.shared_warning,
        }
