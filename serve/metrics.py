"""`GET /metrics`: what all worker processes have counted, for Prometheus.

Each worker counts in memory. Where there are several (`serve --workers N`), prometheus-client keeps the
counts in files of a folder that they share (PROMETHEUS_MULTIPROC_DIR, made at the start), so that whichever
worker is asked tells those of all. What a worker has open is looked at twice a second by a task of its own,
which sees as well how late the event loop is. What the stores know is asked of them (`store_figures.py`).

A process that does runs and serves nothing (`checkerboard worker`) shows its figures on a port of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from fastapi import APIRouter, Request, Security
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Metric,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.callers import BEARER
from serve.errors import responses
from serve.store_figures import StoreFigures
from tools.core import metrics
from tools.core.errors import SetupError
from tools.services import Services

SAMPLE_SECONDS = 0.5
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

router = APIRouter()


@router.get(
    "/metrics",
    tags=["health"],
    dependencies=[Security(BEARER)],
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "figures in Prometheus' text format"},
        **responses(401, 500),
    },
)
async def get_metrics(request: Request) -> Response:
    """The figures of all workers, for Prometheus."""
    figures: StoreFigures = request.app.state.store_figures
    stores = _Collected(await figures.latest())
    # In a thread: of several workers, files are read.
    return Response(await asyncio.to_thread(_latest, stores), media_type=CONTENT_TYPE_LATEST)


class _Collected(Collector):
    """Figures that were asked of the stores before."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """Returns them."""
        return self._families


def _latest(stores: Collector) -> bytes:
    asked = CollectorRegistry()
    asked.register(stores)
    if _FOLDER not in os.environ:
        return generate_latest(REGISTRY) + generate_latest(asked)
    MultiProcessCollector(asked)  # type: ignore[no-untyped-call]
    return generate_latest(asked)


@contextmanager
def shown_on(host: str, port: int) -> Iterator[None]:
    """Shows the figures of this process at an address of their own, to whoever reaches it.

    Raises:
        SetupError: the address cannot be listened at.
    """
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise SetupError(f"No figures can be shown on {host}:{port} ({error.strerror}).") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def shared_by_workers() -> Iterator[None]:
    """Lets the worker processes that are started within it count together."""
    folder = tempfile.mkdtemp(prefix="checkerboard-metrics-")
    os.environ[_FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def forget_worker(pid: int) -> None:
    """Takes out what a worker that has ended had open. What it counted stays."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


class MetricsMiddleware:
    """ASGI middleware: counts requests by route and status, and the event streams that are open."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        streams = False

        async def counted(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(
                    name == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message["headers"]
                )
                if streams:
                    metrics.STREAMS_OPEN.inc()
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            if streams:
                metrics.STREAMS_OPEN.dec()
            # What no route has taken has no name of its own: whoever asks could make up any number of them.
            route = getattr(scope.get("route"), "path", "")
            method = scope["method"] if route else ""
            metrics.REQUESTS.labels(method, route, status or "none").inc()


@asynccontextmanager
async def sampled(services: Services) -> AsyncIterator[None]:
    """Looks at what this worker has open, as long as it lasts."""
    task = asyncio.create_task(_sample(services))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sample(services: Services) -> None:
    while True:
        due = time.monotonic() + SAMPLE_SECONDS
        await asyncio.sleep(SAMPLE_SECONDS)
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, time.monotonic() - due))
        pool = services.pool.get_stats()
        idle = pool.get("pool_available", 0)
        metrics.DATABASE_CONNECTIONS.labels("idle").set(idle)
        metrics.DATABASE_CONNECTIONS.labels("used").set(pool.get("pool_size", 0) - idle)
        metrics.DATABASE_CONNECTIONS.labels("waiting").set(pool.get("requests_waiting", 0))
        (idle, _), (used, _) = services.redis.connection_pool.get_connection_count()
        metrics.REDIS_CONNECTIONS.labels("idle").set(idle)
        metrics.REDIS_CONNECTIONS.labels("used").set(used)
