"""Tools that runs call, or are not let call."""

from time import monotonic

from telemetry import attributes as at
from telemetry import names
from telemetry.registry import OTHER, Known, Registry
from telemetry.scope import scope
from telemetry.spans import Span, SpanKind, Spans


class ToolWatch:
    """One call."""

    __slots__ = ("_began", "_instrument", "_name", "_span")

    def __init__(self, instrument: "ToolInstrument", name: str, span: Span) -> None:
        self._instrument = instrument
        self._name = name
        self._span = span
        self._began = monotonic()

    @property
    def traceparent(self) -> str:
        return self._span.traceparent

    def ended(self, outcome: str) -> None:
        """It is over: ok, failed or cut."""
        self._instrument.durations.of(self._name, outcome).add(monotonic() - self._began)
        self._span.end("" if outcome == "ok" else outcome)


class ToolInstrument:
    """Watches the tools of one process. What a backend or a server describes itself is `other` to it."""

    def __init__(self, registry: Registry, spans: Spans, tools: Known) -> None:
        self._spans = spans
        self._tools = tools
        self.durations = registry.distribution(names.TOOLS)
        self._refused = registry.counts(names.TOOLS_REFUSED)

    def called(self, name: str, call_id: str) -> ToolWatch:
        """A tool is about to be called."""
        label = self._tools(name)
        named = at.EXECUTE_TOOL if label == OTHER else f"{at.EXECUTE_TOOL} {label}"
        attributes = {at.OPERATION: at.EXECUTE_TOOL, at.TOOL: label, at.TOOL_CALL: call_id}
        span = self._spans.begin(named, SpanKind.CLIENT, parent=scope().traceparent, attributes=attributes)
        return ToolWatch(self, label, span)

    def refused(self, name: str, reason: str) -> None:
        """A wish was not carried out."""
        self._refused.add(self._tools(name), reason)
