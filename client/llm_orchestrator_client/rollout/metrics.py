"""What the rollout tells Prometheus. No label holds a user."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_orchestrator_client.rollout.flags import RolloutFlags
from llm_orchestrator_client.rollout.halt import Halt

FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class RolloutMetrics:
    """Counters, gauges and histograms in the registry that is passed in; one object per registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.decisions = Counter(
            "llm_rollout_decisions",
            "Calls by who was to answer and why",
            ["path", "reason"],
            registry=registry,
        )
        self.fallbacks = Counter(
            "llm_rollout_fallbacks", "Calls the local path took over, by cause", ["cause"], registry=registry
        )
        self.calls = Counter(
            "llm_rollout_calls",
            "Attempts by path and gRPC code; of the local path OK, CANCELLED or UNKNOWN",
            ["path", "code"],
            registry=registry,
        )
        self.first_byte = Histogram(
            "llm_rollout_first_byte_seconds",
            "From the call to the first content",
            ["path"],
            buckets=FIRST_BYTE_BUCKETS,
            registry=registry,
        )
        self.duration = Histogram(
            "llm_rollout_duration_seconds",
            "From the call to its end",
            ["path"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._of_the_rollout(registry)

    def _of_the_rollout(self, registry: CollectorRegistry) -> None:
        self.enabled = Gauge("llm_rollout_enabled", "1 while USE_GRPC_ORCHESTRATOR is on", registry=registry)
        self.percentage = Gauge("llm_rollout_percentage", "GRPC_ORCHESTRATOR_PERCENTAGE", registry=registry)
        self.halted = Gauge("llm_rollout_halted", "1 while the rollout is halted", registry=registry)
        self.halts = Counter("llm_rollout_halts", "Halts by cause", ["cause"], registry=registry)
        self.breaker_open = Gauge(
            "llm_rollout_breaker_open", "1 while the orchestrator counts as dead", registry=registry
        )
        self.refused = Counter(
            "llm_rollout_flags_refused",
            "Evaluations of a bad value, by flag, or file",
            ["flag"],
            registry=registry,
        )
        self.cancels = Counter(
            "llm_rollout_cancels",
            "Abandoned runs: cancelled, never_began or given_up",
            ["outcome"],
            registry=registry,
        )
        self.shadows = Counter(
            "llm_rollout_shadows",
            "Shadow calls: same, different, failed or skipped",
            ["result"],
            registry=registry,
        )

    def follow(self, flags: RolloutFlags, halt: Halt) -> None:
        """Ask for the flags and the halt at each scrape."""
        self.enabled.set_function(lambda: float(flags.now()[0]))
        self.percentage.set_function(lambda: flags.now()[1])
        self.halted.set_function(lambda: float(bool(halt.cause())))

    def flag_refused(self, flag: str) -> None:
        """Count a bad value."""
        self.refused.labels(flag).inc()
