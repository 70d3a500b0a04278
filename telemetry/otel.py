"""Spans by OpenTelemetry's SDK, sent in batches to a collector by a thread of its own.

A collector that is away costs nothing but the spans: they wait in a bounded queue, and the newest push out
the oldest. Nothing of it is global, so that two services can live in one process.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpanApi
from opentelemetry.trace import SpanKind as OtelKind

from telemetry.attributes import ERROR_TYPE
from telemetry.families import Counts
from telemetry.spans import SpanKind, Value
from telemetry.traceparent import parts, written

logger = logging.getLogger(__name__)

_EXPORT_SECONDS = 3.0
_MOST_WAITING = 4096
_CLOSE_SECONDS = 2.0
"""For what is left at the end. A process that stops waits no longer for its collector."""


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """`endpoint`: of an OTLP collector over gRPC. `ratio`: of the traces that begin here, so many are kept.

    `content`: what models are asked is kept too. `batch_seconds`: how long spans wait for each other.
    """

    endpoint: str
    ratio: float = 1.0
    content: bool = False
    batch_seconds: float = 2.0


class OtelSpan:
    """A span of the SDK."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: OtelSpanApi) -> None:
        context = span.get_span_context()
        self._span = span
        self.traceparent = written(context.trace_id, context.span_id, context.trace_flags)

    def set(self, attributes: Mapping[str, Value]) -> None:
        self._span.set_attributes(attributes)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, error: str = "") -> None:
        if error and self._span.is_recording():
            self._span.set_attribute(ERROR_TYPE, error)
            self._span.set_status(Status(StatusCode.ERROR))
        if self._span.is_recording():
            self._span.end()


class OtelSpans:
    """Makes spans of one tracer."""

    on = True

    def __init__(self, tracer: Tracer, *, content: bool) -> None:
        self._tracer = tracer
        self.content = content

    def begin(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        parent: str = "",
        link: str = "",
        attributes: Mapping[str, Value] | None = None,
    ) -> OtelSpan:
        linked = _remote(link)
        return OtelSpan(
            self._tracer.start_span(
                name,
                _below(parent),
                OtelKind[kind.name],
                attributes,
                links=[Link(linked)] if linked else (),
            )
        )


class _Told(SpanExporter):
    """Counts what became of spans, and says once that the collector is away, and once that it is back."""

    def __init__(self, exporter: SpanExporter, results: Counts) -> None:
        self._exporter = exporter
        self._results = results
        self._away = False
        for result in ("exported", "failed"):
            results.add(result, by=0)  # now: no key may come while somebody reads, this is another thread

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        outcome = self._exporter.export(spans)
        away = outcome is not SpanExportResult.SUCCESS
        self._results.add("failed" if away else "exported", by=len(spans))
        if away is not self._away:
            self._away = away
            logger.warning("traces cannot be exported" if away else "traces are exported again")
        return outcome

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@asynccontextmanager
async def tracing(
    options: TraceOptions, resource: Mapping[str, str], results: Counts
) -> AsyncIterator[OtelSpans]:
    """Spans that are kept; on the way out what is left of them is sent, as far as that goes at once."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # `_Told` says it, and once
    exporter = OTLPSpanExporter(options.endpoint, timeout=_EXPORT_SECONDS)
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(options.ratio)),
        resource=Resource(dict(resource)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            _Told(exporter, results),
            max_queue_size=_MOST_WAITING,
            schedule_delay_millis=options.batch_seconds * 1000,
        )
    )
    try:
        yield OtelSpans(provider.get_tracer("llm-orchestrator"), content=options.content)
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.to_thread(provider.force_flush)
        except TimeoutError:
            logger.warning("traces were left behind")
        exporter.shutdown()  # ends a try that is still under way: the next step would wait for it
        await asyncio.to_thread(provider.shutdown)


def _below(parent: str) -> Context:
    # A context of its own: the SDK would look for the current one, which nobody sets.
    context = _remote(parent)
    return set_span_in_context(NonRecordingSpan(context), Context()) if context else Context()


def _remote(traceparent: str) -> SpanContext | None:
    found = parts(traceparent)
    if found is None:
        return None
    trace, span, flags = found
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags))
