"""An orchestrator that is killed: a real process, a real SIGKILL, the same port when it is back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.options import Options
from llm_orchestrator_client.payloads import ContentDelta
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.abandoned import AbandonSettings
from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.breaker import BreakerSettings
from llm_orchestrator_client.rollout.router import RouterSettings
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.scale import report, scaled
from tests.rollout.rolling import LOCAL, Answered, World, request_of, rolled_out

SETTINGS = RolloutSettings(
    breaker=BreakerSettings(reset_seconds=0.3, reset_cap_seconds=0.3),
    router=RouterSettings(abandon=AbandonSettings(retry_seconds=0.1)),
)


class Killable:
    """`main.py` on one port, to be killed and started again."""

    def __init__(self, contexts: AsyncExitStack, folder: Path, environment: dict[str, str]) -> None:
        self._contexts = contexts
        self._folder = folder
        self._environment = environment
        self._process: OrchestratorProcess | None = None
        self.address = "127.0.0.1:0"

    async def start(self) -> None:
        environment = {**self._environment, "ORCHESTRATOR_SERVER__ADDRESS": self.address}
        starting = orchestrator_process(self._folder, **environment)
        self._process = await self._contexts.enter_async_context(starting)
        self.address = self._process.address

    async def kill(self) -> None:
        assert self._process is not None
        await self._process.kill()


@pytest.fixture
async def killable(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Killable]:
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_RUN__LEASE_SECONDS": "1.5",
        "ORCHESTRATOR_RUN__BEAT_SECONDS": "0.5",
        "ORCHESTRATOR_RUN__REAP_SECONDS": "0.1",
    }
    async with AsyncExitStack() as contexts:
        killable = Killable(contexts, tmp_path, environment)
        await killable.start()
        yield killable


async def timed(world: World) -> tuple[float, Answered]:
    began = time.perf_counter()
    answered = await world.ask()
    return time.perf_counter() - began, answered


def answers_locally_once(answered: Answered) -> bool:
    return (answered.text, answered.ends, answered.error) == (LOCAL, 1, None)


async def until_remote(world: World, within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while (await world.ask()).text == LOCAL:  # noqa: ASYNC110 - other callers, now and then
            await asyncio.sleep(0.02)


async def test_everybody_is_answered_once_while_it_is_dead_and_it_gets_its_callers_back(
    killable: Killable, everybody: Path
) -> None:
    later_callers = scaled(200)
    async with rolled_out(killable.address, everybody, settings=SETTINGS) as world:
        assert (await world.ask()).text != LOCAL
        await killable.kill()
        first, answered = await timed(world)
        assert answers_locally_once(answered)
        later = [await timed(world) for _ in range(later_callers)]
        at_once = await asyncio.gather(*(timed(world) for _ in range(later_callers)))
        dead = [*later, *at_once]
        assert sum(answers_locally_once(answered) for _, answered in dead) == len(dead)
        tried = world.value("llm_rollout_calls_total", path="orchestrator", code="UNAVAILABLE")
        skipped = world.value("llm_rollout_fallbacks_total", cause="BREAKER_OPEN")
        assert tried + skipped == len(dead) + 1
        assert tried < len(dead) / 10
        seconds = sorted(seconds for seconds, _ in later)
        middle, most = median(seconds) * 1e3, seconds[int(len(seconds) * 0.99)] * 1e3
        report(
            f"killed orchestrator: extra time of the first {first * 1e3:.1f} ms, of {len(seconds)} later "
            f"ones {middle:.2f} ms (99 %: {most:.2f} ms), {tried:.0f} tries in all"
        )
        await killable.start()
        await until_remote(world)
        # Few enough for the first limit of a provider that nobody knows yet.
        back = await asyncio.gather(*(world.ask() for _ in range(3)))
        assert LOCAL not in [answered.text for answered in back]


def scripted(body: Any) -> Script:
    """Who asks to hear something gets one word and then nothing, who asks for silence not even that."""
    said = body["messages"][-1]["content"]
    return Script(tokens=("one", "two"), hold_after=0 if "silence" in said else 1)


def calls_of(provider: ScriptedProvider, query: str) -> int:
    return sum(call.body["messages"][-1]["content"] == query for call in provider.ledger)


async def test_who_had_heard_nothing_is_answered_locally_and_who_had_is_not(
    killable: Killable, everybody: Path, provider: ScriptedProvider
) -> None:
    provider.answer_by(scripted)
    async with rolled_out(killable.address, everybody, settings=SETTINGS) as world:
        silent = [asyncio.create_task(world.ask(request_of(query=f"silence {n}"))) for n in range(3)]
        hearing = [Hearing(world, f"word {n}") for n in range(2)]
        await asyncio.gather(provider.call(5), *(one.heard() for one in hearing))
        await killable.kill()
        answered = await asyncio.gather(*silent)
        assert [answers_locally_once(a) for a in answered] == [True] * 3
        assert world.local_calls == 3
        provider.answer_by(lambda body: Script(tokens=("one", "two")))
        await killable.start()
        assert [await one.end() for one in hearing] == ["onetwo", "onetwo"]
        await world.rollout.router.settled()
        assert world.local_calls == 3
        assert world.value("llm_rollout_cancels_total", outcome="cancelled") == 3
        assert {await state_of(killable.address, a.events[0].run_id) for a in answered} == {
            pb.TASK_STATE_CANCELLED
        }
        assert [calls_of(provider, f"silence {n}") for n in range(3)] == [1, 1, 1]


class Hearing:
    """A caller that has heard a word when the orchestrator dies."""

    def __init__(self, world: World, query: str) -> None:
        self._heard = asyncio.Event()
        self._task = asyncio.create_task(self._listen(world, query))

    async def _listen(self, world: World, query: str) -> str:
        final = ""
        async with aclosing(world.rollout.router.stream_chat(request_of(query=query), world.local)) as events:
            async for event in events:
                if isinstance(event, ContentDelta):
                    self._heard.set()
                final = getattr(event, "final_text", final)
        return final

    async def heard(self) -> None:
        await asyncio.wait_for(self._heard.wait(), 10)

    async def end(self) -> str:
        """The whole answer."""
        return await asyncio.wait_for(self._task, 30)


async def state_of(address: str, run_id: str) -> int:
    """Where a run ends, as the orchestrator says."""
    async with Connection(Options(target=address)) as connection, asyncio.timeout(10):
        while True:
            asked = pb.TaskStatusRequest(task_id=run_id, user_id="ann")
            state = int((await connection.call(connection.stub.GetTaskStatus, asked)).state)
            if state != pb.TASK_STATE_CANCELLING:
                return state
            await asyncio.sleep(0.02)
