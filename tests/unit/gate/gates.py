"""Gates whose time stands still, and what is done with them."""

from dataclasses import dataclass, field

from providers.base import CallAccepted, ModelInfo, RateRemaining
from providers.breaker import BreakerSettings
from providers.gate.gate import ModelGate
from providers.gate.limit import LimitSettings
from providers.gate.pause import PauseSettings
from providers.gate.permit import GateSettings, ModelPermit
from state.errors import ProviderSaturatedError, ProviderUnavailableError
from tests.unit.gate.manual_time import ManualTime

INFO = ModelInfo("acme", "small", 8192)
CALM = GateSettings(
    breaker=BreakerSettings(consecutive_failures=3, reset_seconds=2.0, reset_jitter=0.0),
    limit=LimitSettings(initial=4, ceiling=8, latency_ignored_seconds=1e9),
    pause=PauseSettings(least_seconds=0.5, jitter=0.0),
)
DOWN = ProviderUnavailableError("down")


def full(retry_after: float | None = None) -> ProviderSaturatedError:
    return ProviderSaturatedError("full", retry_after=retry_after)


def left(**of: float) -> CallAccepted:
    return CallAccepted(remaining=RateRemaining(**of))  # type: ignore[arg-type]


def gate_of(time: ManualTime, settings: GateSettings = CALM) -> ModelGate:
    return ModelGate(INFO, settings, clock=time.clock, chance=time.chance, call_later=time.call_later)


def admitted(gate: ModelGate, expected_tokens: int = 0) -> ModelPermit:
    permit = gate.admit(expected_tokens)
    assert isinstance(permit, ModelPermit), permit
    return permit


def all_admitted(gate: ModelGate, most: int = 1000) -> list[ModelPermit]:
    """As many permits as there are."""
    permits: list[ModelPermit] = []
    while len(permits) < most and isinstance(permit := gate.admit(), ModelPermit):
        permits.append(permit)
    return permits


def go_down(gate: ModelGate) -> None:
    for _ in range(CALM.breaker.consecutive_failures):
        admitted(gate).failed(DOWN)


@dataclass
class Heard:
    """Counts how often a gate said that there may be room."""

    gate: ModelGate
    times: int = field(default=0)

    def __post_init__(self) -> None:
        self.end = self.gate.on_room(self._hear)

    def _hear(self) -> None:
        self.times += 1
