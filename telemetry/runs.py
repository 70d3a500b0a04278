"""Runs: their span, how they end, and what they use."""

from time import monotonic

from telemetry import attributes as at
from telemetry import names
from telemetry.registry import Known, Registry
from telemetry.spans import Span, SpanKind, Spans, Value
from telemetry.values import ModelShare, RunBegin, RunEnd


class RunWatch:
    """One attempt of a run. The first of its ends counts."""

    def __init__(self, instrument: "RunInstrument", begin: RunBegin, span: Span) -> None:
        self._instrument = instrument
        self._begin = begin
        self._span = span
        self._began = monotonic()
        self._over = False
        self._spoke = False

    @property
    def traceparent(self) -> str:
        return self._span.traceparent

    def first_text(self) -> None:
        """The first piece of text has come."""
        if not self._spoke:
            self._spoke = True
            seconds = monotonic() - self._began
            self._instrument.first_text.of(self._begin.kind).add(seconds)
            self._span.set({at.FIRST_TEXT_SECONDS: seconds})

    def ended(self, end: RunEnd) -> None:
        """The run has ended with this attempt."""
        if self._over:
            return
        agent = self._instrument.ended(end)
        self._instrument.durations.of(agent, end.kind, end.outcome).add(monotonic() - self._began)
        told: dict[str, Value] = {
            at.AGENT: end.agent,
            at.INPUT_TOKENS: sum(share.input_tokens for share in end.shares),
            at.OUTPUT_TOKENS: sum(share.output_tokens for share in end.shares),
        }
        self._span.set(told)
        self._span.rename(f"{at.INVOKE_AGENT} {end.agent}")
        self._close(end.outcome, "" if end.outcome in ("succeeded", "cancelled") else end.reason)

    def put_back(self, how: str) -> None:
        """It goes back to the line: deferral, retry or handed_back."""
        if not self._over:
            self._instrument.put_back.add(how)
            self._close(how)

    def suspended(self) -> None:
        """It waits for a person."""
        if not self._over:
            self._instrument.suspended.add()
            self._close("suspended")

    def lost(self) -> None:
        """Another attempt owns the run."""
        if not self._over:
            self._instrument.lost.add()
            self._close("lost", "lost")

    def left(self) -> None:
        """Nothing more is known of it."""
        if not self._over:
            self._close("unknown", "unknown")

    def _close(self, outcome: str, error: str = "") -> None:
        self._over = True
        self._span.set({at.RUN_OUTCOME: outcome})
        self._span.end(error)


class RunInstrument:
    """Watches the runs of one process. `agents` and `models` say which names may be labels."""

    def __init__(self, registry: Registry, spans: Spans, agents: Known, models: Known) -> None:
        self._spans = spans
        self._agents, self._models = agents, models
        self._runs = registry.counts(names.RUNS)
        self.durations = registry.distribution(names.RUN_DURATION)
        self.first_text = registry.distribution(names.RUN_FIRST_TEXT)
        self.put_back = registry.counts(names.PUT_BACK)
        self.suspended = registry.counts(names.SUSPENDED)
        self.lost = registry.counts(names.LOST)
        self._reaped = registry.counts(names.REAPED)
        self._tokens = registry.counts(names.TOKENS_USED)
        self._costs = registry.counts(names.COST)
        self._calls = registry.counts(names.RUN_MODEL_CALLS)

    def began(self, begin: RunBegin) -> RunWatch:
        """An attempt begins here."""
        span = self._spans.begin(
            f"{at.INVOKE_AGENT} {begin.agent}",
            SpanKind.CONSUMER if begin.queued else SpanKind.INTERNAL,
            parent=begin.traceparent,
            # Below it and linked to it: readers of either kind find their way back to who asked.
            link=begin.traceparent if begin.queued else "",
            attributes={
                at.OPERATION: at.INVOKE_AGENT,
                at.AGENT: begin.agent,
                at.RUN_ID: begin.run_id,
                at.RUN_KIND: begin.kind,
                at.RUN_TRY: begin.tries,
            },
        )
        return RunWatch(self, begin, span)

    def ended(self, end: RunEnd) -> str:
        """A run has ended, whoever had it; the label of its agent."""
        agent = self._agents(end.agent)
        self._runs.add(agent, end.kind, end.outcome, end.reason)
        for share in end.shares:
            self._used(agent, share)
        return agent

    def reaped(self, runs: int) -> None:
        """So many runs of dead replicas were settled."""
        self._reaped.add(by=runs)

    def _used(self, agent: str, share: ModelShare) -> None:
        model = (self._models(share.provider), self._models(share.model))
        counted = {
            "input": share.input_tokens,
            "output": share.output_tokens,
            "cached_input": share.cached_tokens,
            "reasoning": share.reasoning_tokens,
        }
        for kind, tokens in counted.items():
            if tokens:
                self._tokens.add(agent, *model, kind, by=tokens)
        if share.cost:
            self._costs.add(agent, *model, by=share.cost)
        self._calls.add(agent, *model, by=share.calls)
