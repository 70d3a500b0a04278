"""The sides that `bench.tasks` compares, each in a database of its own on one Postgres."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import grpc

from bench.peers.environments import python_of
from bench.peers.pace import Load, Measured, read
from bench.processes import peer_process
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.harness.process import orchestrator_process

OURS = "ours"
PGQUEUER, DBOS = "pgqueuer", "dbos"
WIDE = 64
"""Calls that the provider takes at a time."""
_PEER_SECONDS = 300.0
_TASK = "task "
_LEFT = "SELECT count(*) FROM orchestrator.runs WHERE end_time IS NULL"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Peer:
    """A program in an environment that `make peers` installs, and how it is called in what we print."""

    name: str
    environment: str
    arguments: Sequence[str] = ()


PEERS = (
    Peer("pgqueuer", PGQUEUER),
    Peer("DBOS, queue", DBOS, ("--polling-seconds", "1")),
    Peer("DBOS, queue polled every 10 ms", DBOS, ("--polling-seconds", "0.01")),
    Peer("DBOS, started directly", DBOS, ("--direct",)),
)


class TaskSide:
    """Implements `bench.peers.pace.Side`: StartTask, whose agent makes one call of the model."""

    def __init__(
        self, stub: "rpc.OrchestratorServiceAsyncStub", connection: Connection, provider: ControlClient
    ) -> None:
        self.connection = connection
        self._stub = stub
        self._provider = provider

    async def begin(self, number: int, conversation: str = "") -> None:
        user = "ann" if conversation else f"user-{number % 10}"
        request = pb.TaskRequest(user_id=user, query=f"{_TASK}{number}", conversation_id=conversation)
        await self._stub.StartTask(request, timeout=30)

    async def left(self) -> int:
        return int(await self.connection.fetchval(_LEFT))

    async def begun(self) -> Mapping[int, float]:
        """When the provider had the call.

        Raises:
            RuntimeError: A run has called twice.
        """
        calls = [
            (int(call.body["messages"][-1]["content"].removeprefix(_TASK)), call.arrived_at)
            for call in await self._provider.ledger()
        ]
        if len(calls) != len(dict(calls)):
            raise RuntimeError("the provider has had more calls than there were runs")
        return dict(calls)


@asynccontextmanager
async def ours(folder: Path, dsn: str, provider: ControlClient) -> AsyncIterator[TaskSide]:
    """`main.py` as users start it, with room for WIDE calls of the provider."""
    environment = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": str(WIDE), "DATABASE_URL": dsn}
    async with (
        orchestrator_process(folder, OPENAI_BASE_URL=provider.base_url, **environment) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        connection = await asyncpg.connect(dsn)
        try:
            yield TaskSide(rpc.OrchestratorServiceStub(channel), connection, provider)
        finally:
            await connection.close()


async def of_peer(peer: Peer, folder: Path, dsn: str, load: Load) -> Measured:
    """What its program has measured.

    Raises:
        RuntimeError: It has failed.
        TimeoutError: It does not come to an end.
    """
    log, results = folder / f"{uuid4().hex}.log", folder / f"{uuid4().hex}.json"
    module = f"bench.peers.{peer.environment}_runs"
    numbers = ("--calls", str(load.calls), "--burst", str(load.burst))
    command = [str(python_of(peer.environment)), "-m", module, *numbers, *peer.arguments, str(results)]
    async with peer_process(command, log, DATABASE_URL=dsn) as process, asyncio.timeout(_PEER_SECONDS):
        if await process.wait():
            said = (await asyncio.to_thread(log.read_text))[-2000:]
            raise RuntimeError(f"{peer.name} ended with {process.returncode}:\n{said}")
    return read(results)


async def new_database(dsn: str) -> str:
    """The address of a database that was made just now, on the same server."""
    name = f"bench_{uuid4().hex}"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
