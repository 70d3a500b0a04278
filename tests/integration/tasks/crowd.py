"""Callers who start tasks on whatever replica answers, and keep what they are told."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from random import Random

import grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.scale import SCALE
from tests.integration.tasks.checker import ClientLog, ProviderCall
from tests.integration.tasks.tables import connected
from tests.integration.tasks.workers import Place

USERS = 5
_CALLERS = 10
_EVERY_WATCHED = 3
_PATIENCE_SECONDS = 60.0
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_ENDED = "SELECT count(*) FROM orchestrator.runs WHERE end_time IS NOT NULL"


class Crowd:
    """Every request has an id of its own and is repeated, with it, at another replica until one has answered.

    `most_failures`: how many replicas in a row a watcher came to in vain.
    """

    def __init__(self, places: Sequence[Place], random: Random) -> None:
        self._places = places
        self._random = random
        self.log = ClientLog()
        self.returns = 0
        self.most_failures = 0

    def _another(self, place: Place | None) -> Place:
        return self._random.choice([other for other in self._places if other is not place])

    async def start(self, number: int) -> str:
        """Have a task accepted; its id."""
        query, place = f"task {number}", self._another(None)
        request = pb.TaskRequest(user_id=f"user-{number % USERS}", query=query, request_id=f"r-{number}")
        while True:
            try:
                task = await place.stub.StartTask(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise
                self.log.unanswered[query] += 1
                place = self._another(place)
                await asyncio.sleep(0.02)
            else:
                self.log.accepted[query] = task.task_id
                return str(task.task_id)

    async def watch(self, number: int, task_id: str) -> None:
        """Read the log to its end, and come back for the rest wherever that is possible."""
        seen, place, failures = self.log.watched.setdefault(task_id, []), self._another(None), 0
        while not seen or seen[-1].WhichOneof("payload") not in ("complete", "error"):
            request = pb.WatchTaskRequest(
                user_id=f"user-{number % USERS}",
                task_id=task_id,
                after_sequence=seen[-1].sequence if seen else 0,
            )
            failures += 1
            with suppress(grpc.aio.AioRpcError):
                async for response in place.stub.WatchTask(request, timeout=60):
                    failures = 0
                    if response.chunk.sequence:
                        seen.append(response.chunk)
            self.returns += 1
            self.most_failures = max(self.most_failures, failures)
            place = self._another(place)
            await asyncio.sleep(0.02)

    async def look_at_conversations(self) -> None:
        """Keep what each task has left in its conversation, once all have ended."""
        for query, task_id in self.log.accepted.items():
            stub, user = self._places[0].stub, f"user-{int(query.split()[1]) % USERS}"
            status = await stub.GetTaskStatus(pb.TaskStatusRequest(user_id=user, task_id=task_id))
            page = await stub.ListCheckpoints(
                pb.ListCheckpointsRequest(user_id=user, conversation_id=status.conversation_id)
            )
            if page.checkpoints:
                head = next(info for info in page.checkpoints if info.head)
                self.log.kept[task_id] = (head.preview.strip(), len(page.checkpoints))

    async def take_all(self, tasks: int) -> None:
        """Start so many, some at a time, and watch every third to its end, should it come."""
        watching: list[asyncio.Task[None]] = []

        async def take(numbers: range) -> None:
            for number in numbers:
                task_id = await self.start(number)
                if number % _EVERY_WATCHED == 0:
                    watching.append(asyncio.create_task(self.watch(number, task_id)))

        await asyncio.gather(*(take(range(first, tasks, _CALLERS)) for first in range(_CALLERS)))
        await asyncio.wait(watching, timeout=_PATIENCE_SECONDS * SCALE)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def calls_of(provider: ScriptedProvider) -> list[ProviderCall]:
    """The ledger as the checker reads it."""
    return [ProviderCall(call.number, call.body["messages"][-1]["content"]) for call in provider.ledger]


async def ended(dsn: str, count: int) -> None:
    """Return when so many runs have, or when it takes too long: then the checker says which have not."""
    async with connected(dsn) as connection:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS * SCALE):
                while await connection.fetchval(_ENDED) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
