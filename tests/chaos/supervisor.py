"""Plays a schedule of faults against a system of real processes, and mends everything in the end."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic

from tests.chaos.disk import Disk
from tests.chaos.faults import Fault, Kind
from tests.chaos.history import History
from tests.chaos.liveness import AFTERWARDS_SECONDS, LivenessClock
from tests.chaos.outside import Outside
from tests.chaos.replica import Replica
from tests.chaos.takeovers import AWAY, Takeovers
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.fragile_postgres import FragilePostgres
from tests.harness.proxy import TcpProxy
from tests.integration.tasks.tables import connected
from tests.integration.tasks.workers import Trap

_END_SOME = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'llm-orchestrator' AND pid % 2 = 0
"""
_PANIC_SECONDS = 3.0


class Supervisor:
    """Everything that can go wrong. `played` counts what did; `skipped`, what this machine cannot do."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        postgres: FragilePostgres,
        disk: Disk,
        outside: Outside,
        *,
        provider: TcpProxy,
        tools: FakeToolService,
        clock: LivenessClock,
        history: History,
    ) -> None:
        self._replicas = replicas
        self._postgres = postgres
        self._disk = disk
        self._outside = outside
        self._provider = provider
        self._tools = tools
        self._clock = clock
        self._history = history
        self._trap = Trap(postgres.dsn, list(replicas))
        self._takeovers = Takeovers(postgres.dsn)
        self._database = asyncio.Lock()
        """Whoever stops Postgres: one at a time."""
        self._tools_stop = asyncio.Lock()
        self._proxies: dict[TcpProxy, asyncio.Lock] = {}
        self.played: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._ways = self._by_kind()

    def _by_kind(self) -> dict[Kind, Callable[[Fault], Awaitable[bool]]]:
        return {
            Kind.KILL: self._kill,
            Kind.KILL_AT_POINT: self._kill_at_point,
            Kind.PAUSE: self._pause,
            Kind.PAUSE_UNTIL_TAKEN: self._pause_until_taken,
            Kind.HOLD_UNTIL_TAKEN: self._hold_until_taken,
            Kind.RESTART: self._restart,
            Kind.SKEW: self._skew,
            Kind.DATABASE_CUT: lambda f: self._cut(self._replicas[f.replica].to_database, f),
            Kind.DATABASE_SILENT: lambda f: self._silence(self._replicas[f.replica].to_database, f),
            Kind.DATABASE_UNHEARD: lambda f: self._silence(
                self._replicas[f.replica].to_database, f, to_server=False
            ),
            Kind.CLIENT_CUT: lambda f: self._cut(self._replicas[f.replica].to_service, f),
            Kind.CLIENT_SILENT: lambda f: self._silence(self._replicas[f.replica].to_service, f),
            Kind.POSTGRES_STOP: self._stop_postgres,
            Kind.CONNECTIONS_ENDED: self._end_connections,
            Kind.DISK_FULL: self._fill_disk,
            Kind.PROVIDER_SLOW: self._badly,
            Kind.PROVIDER_BROKEN: self._badly,
            Kind.PROVIDER_REFUSING: self._badly,
            Kind.PROVIDER_CUT: lambda f: self._cut(self._provider, f),
            Kind.TOOLS_DEAD: self._stop_tools,
            Kind.TOOLS_SLOW: self._badly,
            Kind.TOOLS_LOSE_ANSWERS: self._badly,
        }

    async def play(self, faults: Sequence[Fault]) -> None:
        """All of them, each at its time; return when everything is mended again."""
        began = monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at - monotonic()))
                group.create_task(self._play(fault), name=f"fault {fault.kind}")
        for replica in self._replicas:
            await replica.there()

    async def _play(self, fault: Fault) -> None:
        self._history.note("fault", fault=fault.as_json())
        with self._clock.during(fault.kind, fault.replica):
            done = await self._ways[fault.kind](fault)
            if done:
                await asyncio.sleep(AFTERWARDS_SECONDS)
        (self.played if done else self.skipped)[fault.kind.value] += 1
        self._history.note("mended", kind=fault.kind, replica=fault.replica, done=done)

    async def _kill(self, fault: Fault) -> bool:
        replica = self._replicas[fault.replica]
        await replica.kill()
        await replica.there()
        return True

    async def _kill_at_point(self, fault: Fault) -> bool:
        """Whoever comes to the point first; if nobody does, or Postgres is away, the given one."""
        try:
            if await self._trap.kill_at(fault.point, committed=fault.committed, within=fault.seconds):
                return True
        except AWAY:
            pass
        return await self._kill(fault)

    async def _pause(self, fault: Fault) -> bool:
        await self._replicas[fault.replica].pause(fault.seconds)
        return True

    async def _pause_until_taken(self, fault: Fault) -> bool:
        replica = self._replicas[fault.replica]
        await self._takeovers.has_work(replica.name)
        async with replica.paused():
            await self._takeovers.of(replica.name, fault.seconds)
        return True

    async def _hold_until_taken(self, fault: Fault) -> bool:
        replica = self._replicas[fault.replica]
        async with self._proxies.setdefault(replica.to_database, asyncio.Lock()):
            await self._takeovers.has_work(replica.name)
            replica.to_database.hold()
            try:
                await self._takeovers.of(replica.name, fault.seconds)
            finally:
                replica.to_database.release()
        return True

    async def _restart(self, fault: Fault) -> bool:
        code = await self._replicas[fault.replica].restart()
        self._history.note("exit", code=code, replica=fault.replica)
        return True

    async def _skew(self, fault: Fault) -> bool:
        replica = self._replicas[fault.replica]
        had = replica.skewed
        if not replica.skew(fault.skew):
            return False
        return had or await self._kill(fault)

    async def _cut(self, proxy: TcpProxy, fault: Fault) -> bool:
        async with self._proxies.setdefault(proxy, asyncio.Lock()):
            await proxy.cut()
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                await proxy.restore()
        return True

    async def _silence(self, proxy: TcpProxy, fault: Fault, *, to_server: bool = True) -> bool:
        async with self._proxies.setdefault(proxy, asyncio.Lock()):
            proxy.swallow(to_server=to_server)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                await proxy.cut()  # what was swallowed is missing in the middle of a stream
                await proxy.restore()
        return True

    async def _stop_postgres(self, fault: Fault) -> bool:
        async with self._database:
            await self._postgres.stop_at_once()
            await asyncio.sleep(fault.seconds)
            await self._postgres.start()
        return True

    async def _end_connections(self, fault: Fault) -> bool:
        del fault
        with suppress(*AWAY):
            async with self._database, connected(self._postgres.dsn) as connection:
                await connection.execute(_END_SOME)
        return True

    async def _fill_disk(self, fault: Fault) -> bool:
        if not self._disk.limited:
            return False
        async with self._database:
            await asyncio.to_thread(self._disk.fill)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                self._disk.empty()
            # Postgres gives up when it cannot write its log, and for good when it still cannot then.
            if await self._postgres.dies(within=_PANIC_SECONDS):
                await self._postgres.start()
        return True

    async def _badly(self, fault: Fault) -> bool:
        with self._outside.during(fault.kind):
            await asyncio.sleep(fault.seconds)
        return True

    async def _stop_tools(self, fault: Fault) -> bool:
        async with self._tools_stop:
            await self._tools.stop()
            await asyncio.sleep(fault.seconds)
            await self._tools.start()
        return True
