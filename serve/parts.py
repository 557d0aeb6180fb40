"""What one worker opens at its start and closes at its end."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from graph.answers import SERVICE_VERSION
from graph.build import build_graph
from graph.failures import as_ours
from graph.sessions import Sessions
from tools.embedded.probe import probe_postgres, probe_redis
from tools.redis_client import open_checkpointer
from tools.services import Services, open_services
from tools.settings import Settings

_MODEL_CHECK_SECONDS = 60.0
_CHECK_SECONDS = 5.0
"""How long a dependency may take to answer a readiness check."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The services and the sessions of one worker."""

    services: Services
    sessions: Sessions
    model_checked: list[Any] = field(default_factory=lambda: [-math.inf, 0])
    """When the model last answered a check (seconds, monotonic), and in how many dimensions."""

    async def readiness(self) -> dict[str, Any]:
        """Asks every dependency and says what it is and whether it answers."""
        settings = self.services.settings
        checks = {
            "postgres": self._postgres(),
            "redis": self._redis(),
            "model": self._model(),
            "prompts": self._prompts(),
        }
        answers = await asyncio.gather(*(self._checked(check) for check in checks.values()))
        report = dict(zip(checks, answers, strict=True))
        return {
            "ready": all(part["ok"] for part in report.values()),
            "offline": settings.offline,
            "version": SERVICE_VERSION,
            "parts": report,
        }

    @staticmethod
    async def _checked(check: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                return {"ok": True, **await check}
        except TimeoutError:
            return {"ok": False, "message": f"no answer within {_CHECK_SECONDS:.0f} seconds"}
        except Exception as error:  # noqa: BLE001 - whatever ails a part is what this reports
            return {"ok": False, "message": as_ours(error).message}

    async def _postgres(self) -> dict[str, Any]:
        corpus = await self.services.postings.corpus()
        return {
            "postings": corpus.postings,
            "corpus_revision": corpus.revision,
            "embedding_model": self.services.embedder.model_name,
            "embedding_dimensions": self.services.embedder.dimensions,
        }

    async def _redis(self) -> dict[str, Any]:
        info = await self.services.redis.info("server")
        return {"version": info.get("valkey_version") or info["redis_version"]}

    async def _prompts(self) -> dict[str, Any]:
        """What the worker answers from. A warning (the hub or Redis is away, a set does not fit) leaves it
        ready: it answers from its last good prompts, or the bundled ones."""
        registry = self.services.prompts
        hub = sum(not p.version.startswith("sha256:") for p in registry.current.prompts.values())
        return {
            "version": registry.current.version,
            "from_hub": hub,
            "bundled": len(registry.current.prompts) - hub,
            "warning": registry.own_warning or registry.shared_warning,
        }

    async def _model(self) -> dict[str, Any]:
        """Asks for one embedding, the cheapest call that shows the key and the network work, and
        believes the answer for a minute: it is paid for, and readiness is asked every few seconds."""
        if time.monotonic() > self.model_checked[0] + _MODEL_CHECK_SECONDS:
            vector = await self.services.embedder.query("ready?")
            self.model_checked[:] = [time.monotonic(), len(vector)]
        return {
            "chat_model": self.services.chat.model_name,
            "embedding_model": self.services.embedder.model_name,
            "dimensions": self.model_checked[1],
        }


async def probe_stores(settings: Settings) -> None:
    """Asks Redis for JSON and Search, and PostgreSQL for pgvector.

    Raises:
        SetupError: one does not answer, or lacks them.
    """
    assert settings.redis_url is not None  # noqa: S101 - `attached` has filled both
    assert settings.database_url is not None  # noqa: S101
    await asyncio.gather(probe_redis(settings.redis_url), probe_postgres(settings.database_url))


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Yields the parts of a worker.

    Raises:
        SetupError: PostgreSQL or Redis does not answer, or lacks pgvector, JSON or Search.
    """
    await probe_stores(settings)
    async with open_services(settings) as services:
        saver = await open_checkpointer(settings, services.redis)
        sessions = Sessions(build_graph(services, saver), saver, services.redis, settings, services.prompts)
        async with aclosing(sessions):
            yield Parts(services, sessions)
