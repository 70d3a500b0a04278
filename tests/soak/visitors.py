"""Users who come, do one thing and go: most are new, and so are their conversations."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from time import monotonic

from llm_orchestrator_client import Options, OrchestratorClient, RunStream
from llm_orchestrator_client.errors import CancelledError, OrchestratorError
from tests.soak.outside import ADDS, READS, SLOW

_MOST_TURNS = 4
_MOST_PLACES = 200
_DELETED = 0.7
"""The share of conversations that their users delete; of the others the newest state stays for good."""
_OWN_CONNECTION = 0.05
_LONG = 120.0
_LATEST = 400


@dataclass
class Place:
    """A conversation and how many turns it has had."""

    user: str
    conversation: str
    turns: int = 0


class Visitors:
    """`one` is one visit. `kinds` and `failed` count, by kind and by kind and reason; `waits`: seconds to the
    first text of the latest chats."""

    def __init__(self, address: str, random: Random) -> None:
        self._address = address
        self._random = random
        self._numbers = 0
        self._idle: deque[Place] = deque()
        self._client = OrchestratorClient(Options(address))
        self._ways: dict[str, tuple[int, Callable[[OrchestratorClient, Place], Awaitable[None]]]] = {
            "chat": (40, self._chat),
            "chat with tools": (14, self._reads),
            "chat that is left": (6, self._leaves),
            "chat that is resumed": (6, self._resumes),
            "task": (10, self._task),
            "task that is cancelled": (6, self._cancels),
            "permission": (8, self._permits),
            "status": (10, self._looks),
        }
        self.kinds: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.waits: deque[float] = deque(maxlen=_LATEST)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def one(self) -> None:
        """Come, do something, and go; a failure is counted."""
        kind = self._random.choices(list(self._ways), [weight for weight, _ in self._ways.values()])[0]
        place = self._place()
        try:
            async with self._connected() as client:
                await self._ways[kind][1](client, place)
                await self._goes(client, place)
        except OrchestratorError as error:
            self.failed[f"{kind}: {error.reason or error.code.name}"] += 1
        self.kinds[kind] += 1

    def _place(self) -> Place:
        if self._idle and self._random.random() < 0.5:
            return self._idle.popleft()
        self._numbers += 1
        return Place(f"user-{self._numbers}", f"conversation-{self._numbers}")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[OrchestratorClient]:
        """Mostly the connection that all share; now and then one of the visitor's own."""
        if self._random.random() >= _OWN_CONNECTION:
            yield self._client
            return
        own = (("grpc.use_local_subchannel_pool", 1),)
        async with OrchestratorClient(Options(self._address, channel_options=own)) as client:
            yield client

    async def _goes(self, client: OrchestratorClient, place: Place) -> None:
        place.turns += 1
        if place.turns < _MOST_TURNS and len(self._idle) < _MOST_PLACES:
            self._idle.append(place)
        elif self._random.random() < _DELETED:
            await client.conversations.delete(place.conversation, user_id=place.user)

    # What they do

    async def _chat(self, client: OrchestratorClient, place: Place) -> None:
        await self._read(self._asked(client, place, "chat", "plain"))

    async def _reads(self, client: OrchestratorClient, place: Place) -> None:
        await self._read(self._asked(client, place, "org_inbox", READS))

    async def _leaves(self, client: OrchestratorClient, place: Place) -> None:
        """In the middle: the client cancels the run."""
        async with self._asked(client, place, "chat", SLOW) as stream:
            async for event in stream:
                if event.sequence > 2:
                    return

    async def _resumes(self, client: OrchestratorClient, place: Place) -> None:
        async with self._asked(client, place, "chat", SLOW, keep_running=True) as stream:
            async for event in stream:
                if event.sequence > 2:
                    break
        await self._read(
            client.resume(stream.run_id, user_id=place.user, after_sequence=stream.sequence, seconds=_LONG)
        )

    async def _task(self, client: OrchestratorClient, place: Place) -> None:
        task_id = await self._started(client, place, "chat", "plain")
        await self._read(client.tasks.watch(task_id, user_id=place.user, seconds=_LONG))

    async def _cancels(self, client: OrchestratorClient, place: Place) -> None:
        task_id = await self._started(client, place, "chat", SLOW)
        await asyncio.sleep(self._random.uniform(0.0, 1.0))
        await client.tasks.cancel(task_id, user_id=place.user)
        try:
            await self._read(client.tasks.watch(task_id, user_id=place.user, seconds=_LONG))
        except CancelledError:
            return

    async def _permits(self, client: OrchestratorClient, place: Place) -> None:
        """A task that asks; the visitor sees the question while watching, and says yes or no."""
        task_id = await self._started(client, place, "org_inbox", ADDS)
        async with client.tasks.watch(task_id, user_id=place.user, seconds=_LONG) as stream:
            async for event in stream:
                if event.KIND == "permission_requested":
                    await self._decide(client, place, task_id)

    async def _decide(self, client: OrchestratorClient, place: Place, task_id: str) -> None:
        asked = [p async for p in client.permissions.list(user_id=place.user, run_id=task_id)]
        for permission in asked:
            if self._random.random() < 0.7:
                await client.permissions.approve(permission, user_id=place.user)
            else:
                await client.permissions.deny(permission, user_id=place.user)

    async def _looks(self, client: OrchestratorClient, place: Place) -> None:
        task_id = await self._started(client, place, "chat", "plain")
        await client.tasks.status(task_id, user_id=place.user)
        _ = [task async for task in client.tasks.list(user_id=place.user)]
        await client.health()
        await client.providers()
        await client.usage(user_id=place.user)
        await self._read(client.tasks.watch(task_id, user_id=place.user, seconds=_LONG))

    # Helpers

    def _asked(
        self, client: OrchestratorClient, place: Place, agent: str, kind: str, *, keep_running: bool = False
    ) -> RunStream:
        return client.chat(
            f"[{kind}] tell me",
            user_id=place.user,
            conversation_id=place.conversation,
            agent_type=agent,
            keep_running=keep_running,
            seconds=_LONG,
        )

    async def _started(self, client: OrchestratorClient, place: Place, agent: str, kind: str) -> str:
        started = await client.tasks.start(
            f"[{kind}] tell me", user_id=place.user, conversation_id=place.conversation, agent_type=agent
        )
        return started.task_id

    async def _read(self, stream: RunStream) -> None:
        began, heard = monotonic(), False
        async with stream:
            async for event in stream:
                if event.KIND == "content" and not heard:
                    heard = True
                    self.waits.append(monotonic() - began)
