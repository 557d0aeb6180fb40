"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says where to send them: one for a generation,
from its HTTP request through its nodes to the calls of models and stores.

FastAPI makes the span of a request, instrumentations those of statements and commands. Ours are those of
runs, nodes and calls of models, the latter by OpenTelemetry's conventions for generative AI. Where traces are
off, nothing of the SDK is imported, and `tracer` is None, which is all that a hot path looks at.

Libraries put into a span what is at hand: a search's words, the token of a link, a statement, an error's
text. What leaves is therefore what is listed here, and nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from structlog.contextvars import bind_contextvars, get_contextvars

from tools.core.errors import CheckerboardError
from tools.core.tracing import FLUSH_SECONDS, in_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span, SpanKind, Tracer

# The SDK's import takes a fifth of a second that few need.
# ruff: noqa: PLC0415

logger = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SENT = frozenset(
    {
        # Of a request. Not its path, which may have the token of a link, nor its query.
        *("http.request.method", "http.response.status_code", "http.route", "url.scheme", "error.type"),
        *("network.protocol.name", "network.protocol.version", "server.address", "server.port"),
        # Of a statement or command. Not its text.
        *("db.system", "db.system.name", "db.name", "db.namespace", "db.redis.database_index"),
        *("db.redis.args_length", "db.redis.pipeline_length", "db.operation.name", "db.operation.batch.size"),
        *("net.peer.name", "net.peer.port"),
        # Of a call of a model. Not its messages.
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"),
        "gen_ai.prompt.name",
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.conversation.id"),
        "checkerboard.prompt.version",
        # Of a run, and what each span was made for.
        *("checkerboard.kind", "checkerboard.outcome"),
        *("checkerboard.request_id", "checkerboard.session_id", "checkerboard.run_id"),
    }
)
"""The attributes that leave this process."""

P = ParamSpec("P")
T = TypeVar("T")

tracer: Tracer | None = None
"""Makes our spans; None where traces are off. Looked at as `spans.tracer`: it is set when the service
starts."""


def wanted() -> bool:
    """Whether somebody has said where traces go."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


@asynccontextmanager
async def exported() -> AsyncIterator[None]:
    """Sends traces within the block, where they are wanted; at its end those that are left, for a limited
    time."""
    global tracer  # noqa: PLW0603 - one a process, as OpenTelemetry's provider
    if not wanted():
        yield
        return
    provider = _open()
    tracer = provider.get_tracer("checkerboard")
    logger.info("traces are sent by OpenTelemetry")
    try:
        yield
    finally:
        tracer = None
        if not await in_time(provider.shutdown, FLUSH_SECONDS):
            logger.warning("spans were lost: their receiver did not take them in time")


def bind_trace(**attributes: str) -> None:
    """Adds attributes of ours to the span that this is done for, and its trace's id to the lines of the log
    that are written from here on."""
    from opentelemetry import trace

    current = trace.get_current_span()
    current.set_attributes({f"checkerboard.{name}": value for name, value in attributes.items()})
    bind_contextvars(trace_id=f"{current.get_span_context().trace_id:032x}")


@contextmanager
def span(
    made_by: Tracer, name: str, attributes: Mapping[str, Any], *, kind: SpanKind | None = None
) -> Iterator[Span]:
    """Makes a span of the block. One that fails has the code of its error, or its class."""
    from opentelemetry.trace import SpanKind, Status, StatusCode

    with made_by.start_as_current_span(
        name,
        kind=kind or SpanKind.INTERNAL,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            # Others' codes are words of theirs: a gateway's stands in its answer.
            code = error.code if isinstance(error, CheckerboardError) else type(error).__name__
            made.set_attribute("error.type", code)
            # A run that nobody waits for any more is stopped, and has not failed.
            if not isinstance(error, asyncio.CancelledError):
                made.set_status(Status(StatusCode.ERROR))
            raise


def of_node(node: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Returns a node that is a span where traces are on, and else the node itself."""
    if tracer is None:
        return node
    made_by = tracer

    @functools.wraps(node)
    async def traced(*args: P.args, **kwargs: P.kwargs) -> T:
        with span(made_by, f"node {node.__name__}", {}):
            return await node(*args, **kwargs)

    return traced


@contextmanager
def of_call(made_by: Tracer, operation: str, model: str, purpose: str, prompt: str) -> Iterator[Span]:
    """Makes a span of a call of a model, by the conventions for generative AI. `operation` is `chat` or
    `embeddings`."""
    from opentelemetry.trace import SpanKind

    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "openai",  # by whose API it is called; a gateway may have others behind it
        "gen_ai.request.model": model,
        "gen_ai.prompt.name": purpose,
        "gen_ai.conversation.id": get_contextvars().get("session_id", ""),
        "checkerboard.prompt.version": prompt,
    }
    given = {name: value for name, value in attributes.items() if value}
    with span(made_by, f"{operation} {model}", given, kind=SpanKind.CLIENT) as made:
        yield made


def _open() -> Any:
    """Returns the provider of spans of this process, once it is set up."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.redis import RedisInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from tools.core.span_export import Identifying, Listed, OfSomething

    os.environ.setdefault("OTEL_SERVICE_NAME", "checkerboard")
    provider = TracerProvider(resource=Resource.create(), shutdown_on_exit=False)
    provider.sampler = OfSomething(provider.sampler)  # over the one that OTEL_TRACES_SAMPLER names
    provider.add_span_processor(Identifying())
    provider.add_span_processor(BatchSpanProcessor(Listed(OTLPSpanExporter(), _SENT)))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    RedisInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    return provider
