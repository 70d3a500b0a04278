"""How the providers stand, for those who watch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from providers.gate.base import GateSnapshot, GateState
from providers.pool.table import Candidate, Table

_BEST_FIRST = (GateState.AVAILABLE, GateState.SATURATED, GateState.PROBING, GateState.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model by its name in the configuration."""

    name: str
    gate: GateSnapshot


@dataclass(frozen=True, slots=True)
class ProviderState:
    """A provider is as well as the best of its models. Its numbers count each gate once."""

    name: str
    state: GateState
    in_flight: int
    concurrency_limit: int
    models: tuple[ModelState, ...]


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """All providers in the order of their models, and the state of each class."""

    providers: tuple[ProviderState, ...]
    classes: Mapping[str, GateState]


def status_of(table: Table) -> PoolStatus:
    by_provider: dict[str, list[Candidate]] = {}
    for candidate in table.candidates.values():
        by_provider.setdefault(candidate.endpoint.info.provider, []).append(candidate)
    return PoolStatus(
        providers=tuple(_provider(name, members) for name, members in by_provider.items()),
        classes={
            name: _best(table.candidates[member].gate.snapshot() for member in members)
            for name, members in table.classes.items()
        },
    )


def _provider(name: str, members: list[Candidate]) -> ProviderState:
    gates = {id(candidate.gate): candidate.gate.snapshot() for candidate in members}
    return ProviderState(
        name=name,
        state=_best(gates.values()),
        in_flight=sum(gate.in_flight for gate in gates.values()),
        concurrency_limit=sum(gate.concurrency_limit for gate in gates.values()),
        models=tuple(ModelState(c.name, gates[id(c.gate)]) for c in members),
    )


def _best(snapshots: Iterable[GateSnapshot]) -> GateState:
    return min((snapshot.state for snapshot in snapshots), key=_BEST_FIRST.index)
