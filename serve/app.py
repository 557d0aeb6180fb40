"""The FastAPI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig
from pydantic import SecretStr
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from graph.sessions.views import SERVICE_VERSION
from local.servers import embedded_servers
from serve import (
    agui,
    errors,
    kept_routes,
    langserve_routes,
    metrics,
    open_files,
    openapi,
    pages,
    prompt_routes,
    resume_routes,
    routes,
)
from serve.admission import PlacesMiddleware
from serve.bodies import BodyLimitMiddleware, ReadRestMiddleware
from serve.callers import ApiKeys, CallerMiddleware
from serve.context import open_app_context
from serve.drain import Drain, DrainMiddleware
from serve.keys.watch import watching
from serve.limits.principals import Principals
from serve.origins import OriginMiddleware
from serve.page import routes as page
from serve.request_ids import NAME as REQUEST_ID
from serve.request_ids import RequestIdMiddleware
from serve.runs import routes as run_routes
from serve.store_figures import StoreFigures
from tools.core import logs, spans
from tools.core.proxies import exempt_loopback
from tools.core.settings import Settings
from tools.core.tracing import traced

logger = logging.getLogger(__name__)

_UNTRACED = ("/healthz", "/readyz", "/metrics")
_TELEMETRY: TelemetryConfig = {
    # To where we say, and with what we let pass (`tools/core/spans.py`); figures and the log are ours.
    "auto_configure": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": lambda scope: scope["path"] in _UNTRACED or scope["path"].startswith("/static/"),
}
"""FastAPI's own spans of requests, where a provider of spans is set up."""


def create_app(settings: Settings | None = None, *, keys_needed: bool | None = None) -> FastAPI:
    """Returns the application. Nothing is opened before it starts.

    Each worker holds its own lease on the embedded servers; they stop with the last worker. `keys_needed`
    says whether callers need a key, as the service found when it started; without it the app finds out.
    """
    configured = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        exempt_loopback()
        logs.configure()  # each worker is a process of its own
        servers = embedded_servers(configured)
        settings = await asyncio.to_thread(servers.__enter__)
        try:
            if settings.offline or settings.embeddings_offline:
                does = {"answers": settings.offline, "embeds": settings.embeddings_offline}
                logger.warning("the offline model is at work", extra=does)
            open_files.raise_limit()
            if (files := open_files.report(settings))["warning"] is not None:
                logger.warning("too few files may be open", extra={k: files[k] for k in ("limit", "needed")})
            async with (
                traced(),
                spans.exported(),
                open_app_context(settings) as app_context,
                metrics.sampled(app_context.services),
                aclosing(StoreFigures(app_context.services.pool, app_context.runs)) as figures,
                watching(keys, app_context.services.pool, needed=keys_needed) as key_watch,
            ):
                app.state.app_context = app_context
                app.state.key_watch = key_watch
                app.state.store_figures = figures
                _welcome_visitors(app, configured)
                yield
        finally:
            await asyncio.to_thread(servers.__exit__, None, None, None)

    app = FastAPI(
        title="Checkerboard",
        version=SERVICE_VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        telemetry=_TELEMETRY,
    )
    keys = app.state.api_keys = ApiKeys(_secret(configured.api_keys), _secret(configured.admin_keys))
    _welcome_visitors(app, configured)
    app.state.principals = Principals(configured, keys)
    app.state.drain = Drain()
    _add_middleware(app, configured)
    errors.install(app)
    app.include_router(routes.router)
    app.include_router(prompt_routes.router)

    langserve_routes.install(app)
    # Behind those, because routes are looked through in their order.
    app.include_router(kept_routes.router)
    app.include_router(resume_routes.router)
    app.include_router(run_routes.router)
    app.include_router(agui.router)
    app.include_router(metrics.router)
    pages.install(app)
    page.install(app)
    openapi.install(app)
    return app


def _welcome_visitors(app: FastAPI, settings: Settings) -> None:
    """Says whether people without a key may come: again once the stored keys are read."""
    keys: ApiKeys = app.state.api_keys
    # Without keys and hosts, a request from elsewhere than this machine does not come so far.
    app.state.visitors_welcome = settings.visitors or not (keys.needed or settings.hosts)


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Adds the middleware. A request passes the one that was added last first."""
    keys: ApiKeys = app.state.api_keys
    app.add_middleware(PlacesMiddleware)
    app.add_middleware(BodyLimitMiddleware)
    app.add_middleware(CallerMiddleware, keys=keys)
    app.add_middleware(OriginMiddleware, keys=keys, hosts=settings.hosts, origins=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", REQUEST_ID),
            expose_headers=("Retry-After", "RateLimit", "RateLimit-Policy", REQUEST_ID),
        )
    app.add_middleware(DrainMiddleware, drain=app.state.drain)
    app.add_middleware(ReadRestMiddleware)
    app.add_middleware(metrics.MetricsMiddleware)
    # From here on `client` is who asks and `scheme` what they asked by, and not the proxy that asks for them.
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    app.add_middleware(RequestIdMiddleware)


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None
