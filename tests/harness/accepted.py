"""Callers that start task after task, and what became of the tasks they were promised."""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg
import grpc

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc

_STATES = "SELECT run_id, state FROM orchestrator.runs"


class Callers:
    """Start tasks at an address that may change; each asks for something else, and asks once.

    `accepted`: what each task that was promised is to do, by its id. `spooled`: how many of them were said to
    be in the journal. `refusals`: the codes of the others.
    """

    def __init__(self) -> None:
        self.accepted: dict[str, str] = {}
        self.spooled = 0
        self.refusals: Counter[grpc.StatusCode] = Counter()
        self._number = 0
        self._more = asyncio.Condition()

    async def call(self, address: str, *, callers: int = 8, pause_seconds: float = 0.0) -> None:
        """Call until cancelled, each caller with so long a pause after an answer."""
        async with grpc.aio.insecure_channel(address) as channel:
            stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
            await asyncio.gather(*(self._call(stub, pause_seconds) for _ in range(callers)))

    async def promised(self, number: int) -> None:
        """Return when so many tasks were accepted."""
        async with self._more:
            await self._more.wait_for(lambda: len(self.accepted) >= number)

    async def _call(self, stub: "rpc.OrchestratorServiceAsyncStub", pause_seconds: float) -> None:
        while True:
            self._number += 1
            query = f"task {self._number}"
            request = pb.TaskRequest(user_id=f"user-{self._number % 5}", query=query)
            try:
                task = await stub.StartTask(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                self.refusals[error.code()] += 1
                await asyncio.sleep(0.05)
                continue
            self.accepted[task.task_id] = query
            self.spooled += task.metadata["spooled"] == "true"
            async with self._more:
                self._more.notify_all()
            await asyncio.sleep(pause_seconds)

    async def lost(self, dsn: str, *, within: float) -> list[str]:
        """The promised tasks that have not succeeded by then."""
        connection = await asyncpg.connect(dsn)
        left = set(self.accepted)
        try:
            async with asyncio.timeout(within):
                while left:
                    done = {
                        row["run_id"].hex
                        for row in await connection.fetch(_STATES + " WHERE state = 'succeeded'")
                    }
                    left -= done
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        finally:
            await connection.close()
        return sorted(left)

    async def twice(self, dsn: str) -> list[str]:
        """What was begun by more than one run, promised or not."""
        connection = await asyncpg.connect(dsn)
        try:
            rows = await connection.fetch("SELECT run_id, request FROM orchestrator.runs")
        finally:
            await connection.close()
        asked = Counter(pb.ChatRequest.FromString(row["request"]).query for row in rows)
        assert {UUID(run_id) for run_id in self.accepted} <= {row["run_id"] for row in rows}
        return [query for query, runs in asked.items() if runs > 1]
