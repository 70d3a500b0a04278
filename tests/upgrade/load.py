"""Steady load of our own client, and what its callers were told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from llm_orchestrator_client import Options, OrchestratorClient, OrchestratorError, Patience, RunStream
from llm_orchestrator_client.events import StreamReset
from tests.fakes.scripted_provider.pieces import Prompt, tokens_of
from tests.fakes.scripted_provider.script import Script

SPOKEN = Script(token_interval=0.04)
"""Each answer repeats its question, and takes about a second."""
_PATIENCE = Patience(connect=20.0, resume=60.0, silence=20.0, first_delay=0.05, most_delay=0.5)


def answer_to(query: str) -> str:
    """What the model says to it."""
    return "".join(tokens_of(SPOKEN, [Prompt("user", query)]))


@dataclass
class Told:
    """What callers were told. `surfaced`: failures that reached them, and texts that were not whole and once.

    `resets`: how often a text was begun anew by another attempt. `ends`: when something was done, by what.
    """

    done: Counter[str] = field(default_factory=Counter)
    surfaced: list[str] = field(default_factory=list)
    resets: int = 0
    ends: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        gaps = max(
            (after - before for before, after in zip(self.ends, self.ends[1:], strict=False)), default=0.0
        )
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.done.items()))
        return f"{counts}; {len(self.surfaced)} failed, {self.resets} begun anew; longest pause {gaps:.1f} s"


class Callers:
    """Each does one thing after the other until `stop`, and then ends what it has begun."""

    def __init__(self, clients: Sequence[OrchestratorClient]) -> None:
        self._clients = clients
        self._stopped = asyncio.Event()
        self._more = asyncio.Condition()
        self.told = Told()
        self.tasks: dict[str, str] = {}
        """The query of each task that was accepted."""

    def stop(self) -> None:
        self._stopped.set()

    async def call(self, *, chats: int = 4, tasks: int = 2, queries: int = 2) -> None:
        """Until stopped."""
        async with asyncio.TaskGroup() as group:
            for kind, number in ((self._chat, chats), (self._task, tasks), (self._ask, queries)):
                for caller in range(number):
                    client = self._clients[caller % len(self._clients)]
                    group.create_task(self._go_on(kind, client, f"{kind.__name__[1:]}-{caller}"))

    async def have_done(self, more: int) -> None:
        """Return when so many more things were done of each kind."""
        kinds = ("chats", "tasks", "calls")
        wanted = {kind: self.told.done[kind] + more for kind in kinds}
        async with self._more:
            await self._more.wait_for(lambda: all(self.told.done[kind] >= wanted[kind] for kind in kinds))

    async def _go_on(
        self,
        kind: Callable[[OrchestratorClient, str, int], Awaitable[str]],
        client: OrchestratorClient,
        user: str,
    ) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            try:
                done = await kind(client, user, number)
            except OrchestratorError as error:
                self.told.surfaced.append(f"{user} {number}: {type(error).__name__} {error}")
                await asyncio.sleep(0.1)  # a dead service is not to fill the list
                continue
            self.told.done[done] += 1
            self.told.ends.append(monotonic())
            async with self._more:
                self._more.notify_all()

    async def _chat(self, client: OrchestratorClient, user: str, number: int) -> str:
        query = f"turn {number} of {user}"
        stream = client.chat(query, user_id=user, conversation_id="c", keep_running=True)
        await self._whole(stream, query)
        return "chats"

    async def _task(self, client: OrchestratorClient, user: str, number: int) -> str:
        query = f"work {number} of {user}"
        task = await client.tasks.start(query, user_id=user)
        self.tasks[task.task_id] = query
        await self._whole(client.tasks.watch(task.task_id, user_id=user), query)
        return "tasks"

    async def _ask(self, client: OrchestratorClient, user: str, number: int) -> str:
        match number % 3:
            case 0:
                await client.server_info()
            case 1:
                await client.usage(user_id=user)
            case _:
                async for _ in client.tasks.list(user_id="task-0", page_size=5):
                    break
        await asyncio.sleep(0.05)
        return "calls"

    async def _whole(self, stream: RunStream, query: str) -> None:
        async with stream:
            async for event in stream:
                self.told.resets += isinstance(event, StreamReset)
        said, final = stream.transcript.text, stream.transcript.final_text
        if not said == final == answer_to(query):
            self.told.surfaced.append(f"{query}: shown {said!r}, final {final!r}")


def options_for(target: str | Sequence[str]) -> Options:
    """The client as it comes, but patient: a replica's start takes seconds on a busy machine."""
    return Options(target, patience=_PATIENCE)


@asynccontextmanager
async def steady_load(
    target: str | Sequence[str], *, clients: int = 2, seconds: float = 60.0
) -> AsyncIterator[Callers]:
    """Callers at work inside the block; at its end they finish what they have begun."""
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(OrchestratorClient(options_for(target))) for _ in range(clients)
        ]
        callers = Callers(made)
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(callers.call(), name="steady-load")
            try:
                yield callers
            except BaseException:
                calling.cancel()
                raise
            callers.stop()
            async with asyncio.timeout(seconds):
                await asyncio.shield(calling)
