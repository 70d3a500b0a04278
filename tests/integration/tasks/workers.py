"""Processes that do tasks, each with a database role of its own, so that the audit knows who wrote what."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import grpc

from protos import orchestrator_pb2_grpc as rpc
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.integration.tasks.tables import connected

LEASE_SECONDS = 1.5
SHORT_LEASES = {
    "ORCHESTRATOR_RUN__LEASE_SECONDS": f"{LEASE_SECONDS}",
    "ORCHESTRATOR_RUN__BEAT_SECONDS": "0.4",
    "ORCHESTRATOR_RUN__REAP_SECONDS": "0.2",
}
POINTS = ("begin", "join", "claim", "append", "checkpoint", "finish", "put back")
_PASSWORD = "test"
_REACHED = """
SELECT a.pid, a.usename FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND NOT l.granted AND l.classid = 7 AND l.objid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Place:
    """A place for one process after the other; `name` is the role of the one that is there now."""

    def __init__(self, folder: Path, dsn: str, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._dsn = dsn
        self._environment = environment
        self._opened: list[AsyncExitStack] = []
        self.past: list[OrchestratorProcess] = []
        self.changing = asyncio.Lock()
        self._replacing: asyncio.Task[None] | None = None
        self.process: OrchestratorProcess
        self.channel: grpc.aio.Channel
        self.stub: rpc.OrchestratorServiceAsyncStub
        self.name = ""

    async def start(self) -> None:
        name = f"w{uuid4().hex[:12]}"
        async with connected(self._dsn) as connection:
            await connection.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{_PASSWORD}'")
        environment = {**self._environment, "DATABASE_URL": self.address_for(name)}
        async with AsyncExitStack() as stack:
            process = await stack.enter_async_context(orchestrator_process(self._folder, **environment))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(process.address))
            self._opened.append(stack.pop_all())
        self.process, self.channel, self.name = process, channel, name
        self.stub = rpc.OrchestratorServiceStub(channel)
        self.past.append(process)

    def address_for(self, name: str) -> str:
        """Where the process of that role finds the database."""
        return as_user(self._dsn, name)

    async def kill(self) -> None:
        """kill -9; another process takes its place soon. Callers may still be about to use its channel."""
        await self.process.kill()
        self._replacing = asyncio.create_task(self.start(), name="replace a worker")

    async def there(self) -> None:
        """Return when a process is there."""
        if self._replacing is not None:
            await self._replacing

    async def restart(self) -> int:
        """SIGTERM, and another process in its place; the exit code of the first."""
        code = await self.process.stop()
        await self.start()
        return code

    async def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        async with self.paused():
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """SIGSTOP, and SIGCONT on the way out."""
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    async def stop(self) -> None:
        if self._replacing is not None:
            await asyncio.gather(self._replacing, return_exceptions=True)
        for opened in reversed(self._opened):
            await opened.aclose()


@asynccontextmanager
async def workers(
    folder: Path, dsn: str, number: int, environment: Mapping[str, str]
) -> AsyncIterator[list[Place]]:
    """So many, on one database."""
    async with AsyncExitStack() as stack:
        places = [Place(folder, dsn, environment) for _ in range(number)]
        for place in places:
            stack.push_async_callback(place.stop)
        await asyncio.gather(*(place.start() for place in places))
        yield places


class Trap:
    """Kills a process in the middle of a statement: at its end, before anybody has been told of it."""

    def __init__(self, dsn: str, places: list[Place]) -> None:
        self._dsn = dsn
        self._places = places
        self.sprung: dict[str, int] = {}

    async def kill_at(self, point: str, *, committed: bool, within: float) -> bool:
        """Kill whoever comes to a point first; whether somebody did. The statement commits, or rolls back."""
        async with connected(self._dsn) as connection:
            await connection.execute("SELECT pg_advisory_lock(7, 2)")
            await connection.execute("DELETE FROM audit.traps")  # of a tester who lost its connection
            await connection.execute("INSERT INTO audit.traps (point) VALUES ($1)", point)
            reached = None
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    while (reached := await connection.fetchrow(_REACHED)) is None:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            await connection.execute("DELETE FROM audit.traps")
            if reached is None:
                return False
            place = next((place for place in self._places if place.name == reached["usename"]), None)
            if place is None:
                return False  # it was killed otherwise meanwhile
            await place.kill()
            if not committed:
                await connection.execute("SELECT pg_terminate_backend($1, 5000)", reached["pid"])
            await connection.execute("SELECT pg_advisory_unlock(7, 2)")
        self.sprung[point] = self.sprung.get(point, 0) + 1
        return True


def as_user(dsn: str, name: str) -> str:
    """The same database for another role."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{_PASSWORD}@{host}"))
