"""What one worker opens at its start and closes at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from redis.exceptions import RedisError

from graph.errors import to_service_error
from graph.sessions.checkpointer import open_checkpointer
from graph.sessions.lease import open_lease
from graph.sessions.sessions import Sessions
from serve.admission import Admission
from serve.embedding_keeper import EmbeddingKeeper
from serve.kept import KeptProjects, open_kept
from serve.limits.counts import LimitCounts
from serve.limits.holds import Limiter, estimate
from serve.readiness import ReadinessChecks
from serve.runs.runs import Runs, open_runs
from serve.signatures import Signatures, open_signatures
from serve.term_filling import filling_terms
from tools.core.database import probe_postgres
from tools.core.redis_client import open_redis, probe_redis
from tools.core.settings import Settings
from tools.services import Services, open_services


@dataclass(frozen=True, slots=True)
class AppContext:
    """What one worker has open: its services, sessions, readiness checks, places for runs, limits of callers,
    background runs, the kept projects, and what it signs with."""

    services: Services
    sessions: Sessions
    readiness: ReadinessChecks
    admission: Admission
    limiter: Limiter
    runs: Runs
    kept: KeptProjects
    signatures: Signatures

    async def stop(self) -> None:
        """Stops what still runs: requests are told so, and background runs go back to the queue, for another
        worker."""
        self.runs.stop()
        await self.sessions.aclose()
        await self.runs.aclose()


async def _app_context(request: Request) -> AppContext:
    context: AppContext = request.app.state.app_context
    return context


ContextDep = Annotated[AppContext, Depends(_app_context)]
"""What the app opened at its start, for a route."""


async def probe_stores(settings: Settings) -> None:
    """Asks Redis for JSON and Search, and PostgreSQL for pgvector.

    Raises:
        SetupError: one does not answer, or lacks them.
    """
    assert settings.redis_url is not None  # noqa: S101 - `embedded_servers` has filled both
    assert settings.database_url is not None  # noqa: S101
    await asyncio.gather(probe_redis(settings.redis_url), probe_postgres(settings.database_url))


@asynccontextmanager
async def open_app_context(settings: Settings, *, working: bool | None = None) -> AsyncIterator[AppContext]:
    """Yields what a worker needs, and closes it at the end. `working`: whether it does background runs; the
    settings say so where it is not given.

    Raises:
        SetupError, StoreUnavailableError: PostgreSQL or Redis does not answer, or is not fit.
    """
    await probe_stores(settings)
    async with open_services(settings) as services, open_redis(settings, retrying=False) as probing:
        try:
            saver = await open_checkpointer(settings, services.redis)
        except RedisError as error:
            raise to_service_error(error) from error
        async with (
            open_lease(settings) as lease,
            aclosing(Sessions(services, saver, lease)) as sessions,
            filling_terms(services),
        ):
            admission = Admission(services.redis, lease, settings.concurrency)
            signatures = await open_signatures(settings, services.pool)
            counts = LimitCounts(services.redis, lease.worker_id, estimate(settings))
            does_runs = settings.runs_by == "serve" if working is None else working
            async with (
                aclosing(EmbeddingKeeper(services, services.redis, lease)),
                aclosing(ReadinessChecks(services, probing, admission)) as readiness,
                open_kept(services.pool, settings.kept_days) as kept,
                aclosing(Limiter(counts, settings)) as limiter,
                open_runs(services, sessions, lease, admission, limiter, working=does_runs) as runs,
            ):
                context = AppContext(
                    services, sessions, readiness, admission, limiter, runs, kept, signatures
                )
                try:
                    yield context
                finally:
                    await context.stop()
