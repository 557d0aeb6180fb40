"""Which spans are made, what is added to each, and what of it leaves: the parts of OpenTelemetry's pipeline
that are ours. Imported where traces are on (`spans.py`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, Status
from structlog.contextvars import get_contextvars


class OfSomething(Sampler):
    """Drops what is asked of stores and models for nothing in particular: leases are renewed and the queue is
    looked at all the time, and each would be a trace of its own."""

    def __init__(self, rest: Sampler) -> None:
        """`rest` decides about all others."""
        self._rest = rest

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        *more: Any,
        **named: Any,
    ) -> SamplingResult:
        """Decides about a span."""
        has_parent = trace.get_current_span(parent_context).get_span_context().is_valid
        if kind == SpanKind.CLIENT and not has_parent:
            return SamplingResult(Decision.DROP)
        return self._rest.should_sample(parent_context, trace_id, name, kind, *more, **named)

    def get_description(self) -> str:
        """Returns its name."""
        return f"OfSomething{{{self._rest.get_description()}}}"


class Identifying(SpanProcessor):
    """Gives each span the ids that the lines of the log have."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Is called for each span."""
        # The trace's own id is among them, and is left out by the list.
        span.set_attributes({f"checkerboard.{name}": value for name, value in get_contextvars().items()})


class Listed(SpanExporter):
    """Exports spans with the attributes of a list, and without events and the words of their status."""

    def __init__(self, to: SpanExporter, names: Collection[str]) -> None:
        self._to = to
        self._names = names

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends spans."""
        return self._to.export([self._quiet(span) for span in spans])

    def shutdown(self) -> None:
        """Ends the exporter behind it."""
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the exporter behind it."""
        return self._to.force_flush(timeout_millis)

    def _quiet(self, span: ReadableSpan) -> ReadableSpan:
        attributes = span.attributes or {}
        return ReadableSpan(
            span.name,
            span.context,
            span.parent,
            span.resource,
            {name: value for name, value in attributes.items() if name in self._names},
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
