"""One run of chaos: a quiet phase, the faults, and the return to rest; its evidence ends in a folder."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from llm_orchestrator_client import Options, OrchestratorClient, Patience
from orchestrator.lifecycle import ended_after_cancel
from state.postgres.migrate import migrate
from tests.chaos.disk import Disk
from tests.chaos.evidence import Evidence, of_database
from tests.chaos.faults import Fault, Kind, schedule
from tests.chaos.history import FILE, History, lines
from tests.chaos.liveness import LivenessClock
from tests.chaos.load import Load
from tests.chaos.outside import Outside
from tests.chaos.replica import Replica
from tests.chaos.resources import sample
from tests.chaos.supervisor import Supervisor
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.fragile_postgres import FragilePostgres
from tests.harness.postgres import SCHEMA
from tests.harness.proxy import TcpProxy
from tests.integration.tasks.tables import audited, connected
from tests.integration.tasks.workers import SHORT_LEASES

_POSTGRES = {"max_connections": "100", "max_wal_size": "64MB", "min_wal_size": "32MB"}
_SETTINGS = {
    **SHORT_LEASES,
    "ORCHESTRATOR_SERVER__DRAIN_SECONDS": "0.5",
    "ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "20",
    "ORCHESTRATOR_PROVIDER__CONNECT_SECONDS": "2",
    "ORCHESTRATOR_PROVIDER__FIRST_TOKEN_SECONDS": "3",
    "ORCHESTRATOR_PROVIDER__BETWEEN_TOKENS_SECONDS": "3",
    "ORCHESTRATOR_QUEUE__QUARANTINE_SECONDS": "3",
    "USE_GRPC_TOOL_SERVICE": "true",
}
_PATIENCE = Patience(connect=15.0, resume=60.0, silence=18.0, first_delay=0.05, most_delay=1.0)
_ENDED_WITHIN = 60.0
_RESTING_WITHIN = 15.0
_OPEN = "SELECT count(*) FROM orchestrator.runs WHERE end_time IS NULL"
_PENDING = "SELECT count(*) FROM orchestrator.permissions WHERE state = 'pending'"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llm-orchestrator'"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run is: `quiet` seconds without faults, then `faulty` ones, of these `kinds`."""

    seed: int
    quiet: float
    faulty: float
    replicas: int = 3
    kinds: frozenset[Kind] = frozenset(Kind)

    @property
    def faults(self) -> list[Fault]:
        return schedule(self.seed, self.faulty, self.replicas, self.kinds)


@dataclass
class _System:
    """What runs."""

    postgres: FragilePostgres
    provider: ScriptedProvider
    tools: FakeToolService
    outside: Outside
    to_provider: TcpProxy
    replicas: list[Replica]
    disk: Disk


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to. `played` and `skipped` faults by kind; `quiet_end`: of the history, in seconds.

    `deaths`: the last words of processes that ended by themselves.
    """

    played: dict[str, int]
    skipped: dict[str, int]
    quiet_end: float
    live_seconds: float
    failed_starts: int
    deaths: list[list[str]]


def _supervisor(system: _System, clock: LivenessClock, history: History) -> Supervisor:
    return Supervisor(
        system.replicas,
        system.postgres,
        system.disk,
        system.outside,
        provider=system.to_provider,
        tools=system.tools,
        clock=clock,
        history=history,
    )


async def run(plan: Plan, folder: Path) -> Figures:
    """Play it through and leave history and evidence in the folder."""
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(_system(plan, folder))
        clock = LivenessClock(plan.replicas)
        history = stack.enter_context(History(folder, clock))
        supervisor = _supervisor(system, clock, history)
        client = await stack.enter_async_context(_client(system.replicas))
        load = Load(client, history, Random(f"load of {plan.seed}"))
        ready = {replica.process.pid: sample(replica.process.pid) for replica in system.replicas}
        loading = asyncio.create_task(load.run(), name="load")
        attending = asyncio.create_task(load.attend(), name="people who decide")
        await asyncio.sleep(plan.quiet)
        connections = await _value(system, _CONNECTIONS)
        history.note("faults begin")
        quiet_end = float([*lines(folder / FILE)][-1]["at"])
        await supervisor.play(plan.faults)
        mended = monotonic()
        history.note("faults end")
        ready |= {
            replica.process.pid: sample(replica.process.pid)
            for replica in system.replicas
            if replica.process.pid not in ready
        }
        load.stop()
        await _comes_to_rest(system, loading)
        await ended_after_cancel(attending)
        facts = {"recovery_seconds": monotonic() - mended, "connections_before": connections}
        await load.look_at_conversations()
        await _gather(system, folder, facts, ready)
        return Figures(
            dict(supervisor.played),
            dict(supervisor.skipped),
            quiet_end,
            clock.seconds,
            sum(replica.failed_starts for replica in system.replicas),
            [death for replica in system.replicas for death in replica.deaths],
        )


@asynccontextmanager
async def _system(plan: Plan, folder: Path) -> AsyncIterator[_System]:
    async with AsyncExitStack() as stack:
        place = stack.enter_context(passable_folder())
        disk = Disk(place)
        stack.enter_context(disk.mounted())
        postgres = await stack.enter_async_context(FragilePostgres(place / "data", options=_POSTGRES))
        await migrate(postgres.dsn, SCHEMA)
        await audited(postgres.dsn)
        provider = await stack.enter_async_context(ScriptedProvider())
        tools = await stack.enter_async_context(FakeToolService())
        outside = Outside(provider, tools, Random(f"outside of {plan.seed}"))
        to_provider = await stack.enter_async_context(TcpProxy("127.0.0.1", provider.port))
        settings = {
            **_SETTINGS,
            "OPENAI_BASE_URL": f"http://127.0.0.1:{to_provider.port}/v1",
            "ORCHESTRATOR_TOOLS__ADDRESS": tools.address,
        }
        replicas = [Replica(folder, postgres, settings) for _ in range(plan.replicas)]
        await asyncio.gather(*(stack.enter_async_context(replica) for replica in replicas))
        yield _System(postgres, provider, tools, outside, to_provider, replicas, disk)


@asynccontextmanager
async def _client(replicas: Sequence[Replica]) -> AsyncIterator[OrchestratorClient]:
    addresses = [replica.address for replica in replicas]
    async with OrchestratorClient(Options(addresses, patience=_PATIENCE, call_seconds=10.0)) as client:
        yield client


async def _comes_to_rest(system: _System, loading: "asyncio.Task[None]") -> None:
    """Wait for callers and runs to end; not for ever: the checker says what has not."""
    done, _ = await asyncio.wait({loading}, timeout=_ENDED_WITHIN)
    if not done:
        loading.cancel()
    await asyncio.gather(loading, return_exceptions=not done)
    await _until(system, _OPEN, _ENDED_WITHIN)


async def _until(system: _System, count: str, within: float) -> None:
    until = monotonic() + within
    while await _value(system, count) and monotonic() < until:  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.05)


async def _value(system: _System, statement: str) -> int:
    async with connected(system.postgres.dsn) as connection:
        return int(await connection.fetchval(statement))


async def _gather(
    system: _System, folder: Path, facts: dict[str, Any], ready: dict[int, dict[str, Any]]
) -> None:
    provider, tools = system.provider, system.tools
    until = monotonic() + _RESTING_WITHIN
    while (provider.in_flight or tools.ledger.in_flight) and monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    facts |= {
        "connections": await _value(system, _CONNECTIONS),
        "waiting": await _value(system, _OPEN),
        "pending": await _value(system, _PENDING),
        "model_calls_open": provider.in_flight,
        "tool_calls_open": tools.ledger.in_flight,
        "secrets": [urlsplit(system.postgres.dsn).password],
    }
    processes = [replica.process for replica in system.replicas]
    evidence = Evidence(
        history=[],
        **await of_database(system.postgres.dsn),
        model_calls=system.outside.calls,
        tool_calls=[call.report() for call in tools.ledger.calls],
        samples=[
            {"name": f"process {p.pid}", "ready": ready[p.pid], "rest": sample(p.pid)}
            for p in processes
            if p.pid in ready
        ],
        logs=["\n".join(p.errors) for replica in system.replicas for p in replica.past],
        facts=facts,
    )
    evidence.write(folder)
