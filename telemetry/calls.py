"""Calls of this server: their span, duration and status, and the pace of streams."""

from time import monotonic

from telemetry import attributes as at
from telemetry import names
from telemetry.families import Bins
from telemetry.registry import Registry
from telemetry.scope import scope
from telemetry.spans import Span, SpanKind, Spans

_OTHER_METHOD = "_OTHER"
"""OpenTelemetry's word for a method that there is not."""

_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""What is the server's error and not its caller's."""


class CallWatch:
    """One call. `sent` is called for each message of a stream: it does next to nothing."""

    __slots__ = ("_began", "_gaps", "_instrument", "_last", "_method", "_sent", "_span", "first_seconds")

    def __init__(self, instrument: "CallInstrument", method: str, gaps: Bins | None, span: Span) -> None:
        self._instrument = instrument
        self._method = method
        self._gaps = gaps
        self._span = span
        self._sent = 0
        self._began = self._last = monotonic()
        self.first_seconds = 0.0

    @property
    def traceparent(self) -> str:
        return self._span.traceparent

    def sent(self) -> None:
        """A message of the stream leaves."""
        now = monotonic()
        if self._sent and self._gaps is not None:
            self._gaps.add(now - self._last)
        elif not self._sent:
            self.first_seconds = now - self._began
            self._instrument.first_chunk.of(self._method).add(self.first_seconds)
        self._last = now
        self._sent += 1

    def ended(self, code: str) -> None:
        """The call has ended with this status."""
        instrument = self._instrument
        instrument.durations.of(self._method, code).add(monotonic() - self._began)
        if self._gaps is not None:
            instrument.streams.add(self._method, by=-1)
            self._span.set({at.MESSAGES_SENT: self._sent, at.FIRST_MESSAGE_SECONDS: self.first_seconds})
        self._span.set({at.RPC_STATUS: code})
        self._span.end(code if code in _FAULTS else "")


class CallInstrument:
    """Watches the calls of one server."""

    def __init__(self, registry: Registry, spans: Spans) -> None:
        self._spans = spans
        self.durations = registry.distribution(names.CALLS)
        self.first_chunk = registry.distribution(names.FIRST_CHUNK)
        self._gaps = registry.distribution(names.CHUNK_GAP)
        self.streams = registry.counts(names.STREAMS)

    def began(self, method: str, *, stream: bool) -> CallWatch:
        """A call of a method that there is; its parent is what the scope says."""
        attributes = {at.RPC_SYSTEM: "grpc", at.RPC_METHOD: method}
        span = self._spans.begin(method, SpanKind.SERVER, parent=scope().traceparent, attributes=attributes)
        if stream:
            self.streams.add(method)
        return CallWatch(self, method, self._gaps.of(method) if stream else None, span)

    def unknown(self) -> None:
        """A call of a method that there is not."""
        self.durations.of(_OTHER_METHOD, "UNIMPLEMENTED").add(0.0)
