"""What watches the service, and where that can be read."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from agents.loader import UNDECIDED
from config.command_line import say
from config.load import picked
from config.settings import Settings
from orchestrator.application import Application
from orchestrator.health import HealthService
from orchestrator.watching import EventLag, Watching
from providers.gate.base import GateSnapshot, GateState
from providers.pool.pool import ModelPool
from providers.pool.table import Candidate
from state.errors import DatabaseUnavailableError
from state.postgres.stores import PostgresStores
from telemetry import names
from telemetry.families import Labels
from telemetry.http import LookedUp, pages_at
from telemetry.instruments import Instruments, instruments
from telemetry.loop_lag import lag_noted
from telemetry.names import Metric
from telemetry.otel import TraceOptions, tracing
from telemetry.registry import Known, Registry
from telemetry.spans import NoSpans, Spans
from tools.builtins.source import Builtins
from tools.table.typed import NAMES


class Spool(Protocol):
    """The outage journal."""

    @property
    def count(self) -> int: ...


@asynccontextmanager
async def watched(
    settings: Settings, models: ModelPool, agents: Known, about: Mapping[str, str]
) -> AsyncIterator[Instruments | None]:
    """Instruments inside the block; None where metrics and traces are off. `about` goes with every span."""
    if not settings.metrics.address and not settings.traces.endpoint:
        yield None
        return
    registry = Registry()
    async with AsyncExitStack() as stack:
        spans: Spans = NoSpans()
        if settings.traces.endpoint:
            results = registry.counts(names.SPANS)
            options = picked(TraceOptions, settings.traces)
            spans = await stack.enter_async_context(tracing(options, about, results))
        stack.enter_context(lag_noted(registry.distribution(names.LOOP_LAG).of()))
        tools = NAMES | Builtins().names
        made = instruments(
            registry,
            spans,
            agents=agents,
            models=Known(lambda: [name for c in models.candidates for name in _named(c)]),
            tools=Known(lambda: tools),
        )
        agents.also(lambda: (UNDECIDED,))
        models.tell(made.models)
        yield made


def watching_of(made: Instruments | None) -> Watching:
    """The same as the application wants it."""
    if made is None:
        return Watching()
    return Watching(made.runs, made.line, made.permissions, made.tools)


@asynccontextmanager
async def metrics_served(
    settings: Settings,
    made: Instruments | None,
    app: Application,
    stores: PostgresStores,
    health: HealthService,
    *,
    models: ModelPool,
    spool: Spool | None,
    lag: EventLag | None = None,
) -> AsyncIterator[None]:
    """/metrics, /healthz and /readyz inside the block, if the settings name an address.

    Raises:
        MetricsAddressError: Nothing can listen there.
    """
    if made is None or not settings.metrics.address:
        yield
        return
    registry = made.registry
    registry.read(names.ACTIVE_RUNS, lambda: [((), app.supervisor.active)])
    registry.read(names.ASYNCIO_TASKS, lambda: [((), len(asyncio.all_tasks()))])
    registry.read(names.POOL_SIZE, lambda: [((), stores.database.connections[0])])
    registry.read(names.POOL_IN_USE, lambda: [((), stores.database.connections[1])])
    if spool is not None:
        registry.read(names.JOURNAL_TASKS, lambda: [((), spool.count)])
    _read_providers(registry, models)
    address, look_up = settings.metrics.address, _looked_up(app, stores, lag)
    async with pages_at(address, registry, look_up, health.ready) as port:
        say(f"metrics on {address.rpartition(':')[0]}:{port}")
        yield


def _looked_up(app: Application, stores: PostgresStores, lag: EventLag | None) -> LookedUp:
    async def look_up() -> Mapping[Metric, float | None]:
        try:
            load = await app.line.load()
            return {
                names.QUEUE_DEPTH: load.queued,
                names.QUEUE_ACTIVE: load.active,
                names.QUEUE_REFUSING: float(load.refusing),
                names.PERMISSIONS_WAITING: await stores.readings.pending_permissions(),
                names.EVENT_LAG: await lag.lag_seconds() if lag else None,
            }
        except DatabaseUnavailableError:
            return {}

    return look_up


def _read_providers(registry: Registry, models: ModelPool) -> None:
    def gates() -> Iterable[GateSnapshot]:
        once = {id(candidate.gate): candidate.gate for candidate in models.candidates}
        return [gate.snapshot() for gate in once.values()]

    def states() -> Iterable[tuple[Labels, float]]:
        return [((*_model(g), state.value), float(state is g.state)) for g in gates() for state in GateState]

    def refusals() -> Iterable[tuple[Labels, float]]:
        return [((*_model(g), reason), count) for g in gates() for reason, count in g.refusals.items()]

    registry.read(names.PROVIDER_STATE, states)
    registry.read(names.PROVIDER_IN_FLIGHT, lambda: [(_model(g), g.in_flight) for g in gates()])
    registry.read(names.PROVIDER_LIMIT, lambda: [(_model(g), g.concurrency_limit) for g in gates()])
    registry.read(names.PROVIDER_REFUSALS, refusals)


def _named(candidate: Candidate) -> tuple[str, str]:
    info = candidate.endpoint.info
    return info.provider, info.model


def _model(gate: GateSnapshot) -> tuple[str, str]:
    return (gate.provider, gate.model)
