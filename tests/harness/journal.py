"""Folders that may hold an outage journal, and services with one."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from protos import orchestrator_pb2 as pb
from state.spool.folder import file_system
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.narrow import narrow
from tests.harness.process import ROOT
from tests.harness.proxy import TcpProxy
from tests.harness.service import Service

SHORT = {"lease_seconds": 1.0, "beat_seconds": 0.3, "reap_seconds": 0.1}


@contextmanager
def lasting_folder() -> Iterator[Path]:
    """A temporary folder on a disk, also where those of the system are in memory."""
    place = tempfile.gettempdir()
    if file_system(Path(place)) == "tmpfs":
        place = str(ROOT / ".data")
        Path(place).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="journal-", dir=place) as folder:
        yield Path(folder)


@dataclass
class Outage:
    """A service that reaches its database through a `proxy`, and the `folder` of its journal."""

    service: Service
    proxy: TcpProxy
    folder: Path

    async def health(self) -> pb.HealthCheckResponse:
        response: pb.HealthCheckResponse = await self.service.stub.HealthCheck(pb.HealthCheckRequest())
        return response

    async def start(self, query: str = "work", **fields: object) -> pb.TaskResponse:
        values: dict[str, object] = {"user_id": "ann", "query": query, **fields}
        response: pb.TaskResponse = await self.service.stub.StartTask(pb.TaskRequest(**values))  # type: ignore[arg-type]
        return response

    async def rows(self, query: str) -> list[asyncpg.Record]:
        """What the database says itself."""
        connection = await asyncpg.connect(self.service.dsn)
        try:
            if query.lstrip().startswith("SELECT"):
                return list(await connection.fetch(query))
            await connection.execute(query)
            return []
        finally:
            await connection.close()


@asynccontextmanager
async def journalled(
    dsn: str,
    provider: ScriptedProvider,
    folder: Path,
    *,
    calls: int = 50,
    **groups: Mapping[str, object],
) -> AsyncIterator[Outage]:
    """A service with a journal in `folder`; `groups` change settings, as in `narrow`."""
    groups["journal"] = {"folder": folder, "retry_seconds": 0.05, **groups.get("journal", {})}
    groups["run"] = {**SHORT, **groups.get("run", {})}
    with tempfile.TemporaryDirectory() as files:
        async with (
            TcpProxy.to(dsn) as proxy,
            narrow(proxy.dsn, provider, Path(files), calls=calls, **groups) as service,
        ):
            service.dsn = dsn
            yield Outage(service, proxy, folder)
