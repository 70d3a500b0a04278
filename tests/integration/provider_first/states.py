"""How a provider comes to stand as a row of the decision table says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.harness.service import Service
from tests.integration.provider_first.asking import FAIL, Asked, Caller, ask, shown

HELD = Script(tokens=("one", " two"), hold_after=1)
OPENS_AFTER = 5
SATURATED = "RESOURCE_EXHAUSTED PROVIDER_SATURATED, RetryInfo"
DOWN = "UNAVAILABLE PROVIDER_UNAVAILABLE, RetryInfo"


@dataclass
class Stage:
    """A service, its provider, and callers who bring both into a state."""

    service: Service
    provider: ScriptedProvider
    caller: Caller

    async def hold(self, query: str) -> None:
        """Take one of the provider's places."""
        self.provider.enqueue(HELD)
        before = len(self.provider.ledger)
        self.caller.begin(query, FAIL)
        await (await self.provider.call(before + 1)).sent(1)

    async def fail(self) -> None:
        """As many failures in a row as open a breaker."""
        await asyncio.gather(*(ask(self.service, f"fails {n}") for n in range(OPENS_AFTER)))


Stands = Callable[[Asked], Awaitable[None]]
"""Returns when a caller who waits is known to stand in line."""

State = Callable[[Stage], AbstractAsyncContextManager[Stands]]
"""How the provider comes to stand so. What keeps callers waiting ends with the block, or by itself."""


async def in_line(asked: Asked) -> None:
    async with asyncio.timeout(10):
        await asked.in_line.wait()


@asynccontextmanager
async def idle(stage: Stage) -> AsyncIterator[Stands]:
    yield in_line


@asynccontextmanager
async def permits_full(stage: Stage) -> AsyncIterator[Stands]:
    await stage.hold("held")
    yield in_line
    stage.provider.release()


@asynccontextmanager
async def own_requests_used_up(stage: Stage) -> AsyncIterator[Stands]:
    for _ in range(100):
        if (await ask(stage.service, "uses")).error is not None:
            break
    yield in_line


@asynccontextmanager
async def own_tokens_used_up(stage: Stage) -> AsyncIterator[Stands]:
    stage.provider.enqueue(Script(usage=ScriptedUsage(60_000, 500)))
    await ask(stage.service, "uses")
    yield in_line


def vendor_says(*headers: tuple[str, str]) -> State:
    @asynccontextmanager
    async def nothing_left(stage: Stage) -> AsyncIterator[Stands]:
        stage.provider.enqueue(Script(headers=headers))
        await ask(stage.service, "uses")
        yield in_line

    return nothing_left


def vendor_refuses(status: int) -> State:
    @asynccontextmanager
    async def refused(stage: Stage) -> AsyncIterator[Stands]:
        stage.provider.enqueue(Script(status=status, retry_after=1))
        assert (await ask(stage.service, "refused")).seen == SATURATED
        yield in_line

    return refused


@asynccontextmanager
async def somebody_in_line(stage: Stage) -> AsyncIterator[Stands]:
    """There is room, but for as long as the table is locked nobody can be taken from the line."""
    for query in ("held", "held too"):
        await stage.hold(query)
    await stage.caller.in_line("earlier")
    connection = await asyncpg.connect(stage.service.dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE orchestrator.runs IN EXCLUSIVE MODE")
            stage.provider.release()
            while (await shown(stage.service)).in_flight > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

            async def behind(_: Asked) -> None:
                # Two round trips after it on the same connection: by the second it has asked for room.
                for query in ("later", "later too"):
                    assert (await ask(stage.service, query, FAIL)).seen == SATURATED

            yield behind
    finally:
        await connection.close()


@asynccontextmanager
async def unreachable(stage: Stage) -> AsyncIterator[Stands]:
    """Back at the same address when the breaker has opened: it does not know that yet."""
    await stage.provider.__aexit__(None, None, None)
    await stage.fail()
    async with ScriptedProvider(port=stage.provider.port) as back:
        stage.provider = back
        yield in_line
        await stage.caller.ended()


def fails_by(script: Script) -> State:
    @asynccontextmanager
    async def failed(stage: Stage) -> AsyncIterator[Stands]:
        stage.provider.default = script
        await stage.fail()
        stage.provider.default = Script()
        yield in_line

    return failed


def refuses_by(status: int) -> State:
    @asynccontextmanager
    async def refused(stage: Stage) -> AsyncIterator[Stands]:
        stage.provider.default = Script(status=status)
        await stage.fail()
        yield in_line

    return refused
