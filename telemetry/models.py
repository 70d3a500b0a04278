"""Calls of models: their span, duration, first piece and tokens."""

from time import monotonic

from telemetry import attributes as at
from telemetry import names
from telemetry.registry import Known, Registry
from telemetry.scope import scope
from telemetry.spans import Prompt, Span, SpanKind, Spans


class ModelWatch:
    """One call."""

    __slots__ = ("_began", "_instrument", "_model", "_span")

    def __init__(self, instrument: "ModelInstrument", model: tuple[str, str], span: Span) -> None:
        self._instrument = instrument
        self._model = model
        self._span = span
        self._began = monotonic()

    @property
    def traceparent(self) -> str:
        return self._span.traceparent

    def first_piece(self) -> None:
        """The answer has begun."""
        self._instrument.first.of(*self._model).add(monotonic() - self._began)

    def ended(self, error: str, tokens: tuple[int, int] | None, finish_reason: str = "") -> None:
        """The call is over; `tokens` of prompt and answer, None where nothing was charged."""
        instrument = self._instrument
        instrument.durations.of(*self._model, error).add(monotonic() - self._began)
        if tokens is not None:
            for kind, count in zip(("input", "output"), tokens, strict=True):
                instrument.tokens.of(*self._model, kind).add(count)
            self._span.set({at.INPUT_TOKENS: tokens[0], at.OUTPUT_TOKENS: tokens[1]})
        if finish_reason:
            self._span.set({at.FINISH_REASONS: (finish_reason,)})
        self._span.end(error)


class ModelInstrument:
    """Watches the calls of one pool."""

    def __init__(self, registry: Registry, spans: Spans, models: Known) -> None:
        self._spans = spans
        self._models = models
        self.durations = registry.distribution(names.MODEL_CALLS)
        self.first = registry.distribution(names.MODEL_FIRST)
        self.tokens = registry.distribution(names.MODEL_TOKENS)

    def called(self, provider: str, model: str, prompt: Prompt) -> ModelWatch:
        """A call is about to be made, below what the scope says."""
        spans = self._spans
        attributes = {at.OPERATION: at.CHAT, at.PROVIDER: provider, at.REQUEST_MODEL: model}
        if spans.content:
            attributes[at.INPUT_MESSAGES] = prompt()
        span = spans.begin(
            f"{at.CHAT} {model}", SpanKind.CLIENT, parent=scope().traceparent, attributes=attributes
        )
        return ModelWatch(self, (self._models(provider), self._models(model)), span)
