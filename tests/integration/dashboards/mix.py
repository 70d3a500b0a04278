"""A service and a backend that rolls it out, and a round of all that happens to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import grpc

from llm_orchestrator_client.protos import orchestrator_pb2 as client_pb
from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.budget import BudgetSettings
from llm_orchestrator_client.rollout.flags import Flag
from llm_orchestrator_client.rollout.router import RouterSettings
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.journal import lasting_folder
from tests.harness.narrow import answering, in_line
from tests.harness.priced import service_with_file
from tests.harness.retention import connected
from tests.harness.service import Service, chat_request, collect
from tests.harness.tooled import ADDS_MILK, DONE, decide, pending, tools_at, wish, wishing
from tests.integration.tasks.asking import start
from tests.rollout.rolling import World, flags_on, request_of, rolled_out

MODELS = """
currency = "EUR"

[providers.acme]
kind = "openai"
base_url = "{url}"
limits = {{ max_concurrency = 1 }}
[providers.gone]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"

[models.m]
provider = "acme"
context_tokens = 8192
routing = false
prices = {{ input_micros = 1_000_000, output_micros = 10_000_000 }}
[models.gone]
provider = "gone"
context_tokens = 8192
routing = false

[classes]
chat = ["m"]
fast = ["m"]
"""
SETTINGS = RolloutSettings(
    router=RouterSettings(first_byte_seconds=0.5),
    budget=BudgetSettings(minimum_samples=10, error_ratio=0.6),
)
LOOK = wish("get_weather_data", {"location": "Bonn"})
GONE = client_pb.ModelOptions(model="gone")
INSIDE, OUTSIDE = "user-1", "user-2"


@asynccontextmanager
async def watched_service(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, folder: Path, **groups: object
) -> AsyncIterator[Service]:
    """A service of which everything can be watched: priced models, one of them away, tools and a journal."""
    run = {"reap_seconds": 0.1, "retry_seconds": 0.1, "lease_seconds": 1.0, "beat_seconds": 0.2}
    with lasting_folder() as journal:
        async with service_with_file(
            dsn,
            provider,
            folder,
            MODELS,
            tools=tools_at(backend),
            use_grpc_tool_service=True,  # type: ignore[arg-type]
            run=run,
            journal={"folder": journal},
            **groups,  # type: ignore[arg-type]
        ) as service:
            yield service


@asynccontextmanager
async def rolling_out(service: Service, folder: Path) -> AsyncIterator[World]:
    """A backend: the user INSIDE goes to the service, of OUTSIDE it gets a copy."""
    file = flags_on(folder / "flags.json", 0, ALLOWED=INSIDE, SHADOW_PERCENTAGE=100)
    async with rolled_out(f"127.0.0.1:{service.port}", file, settings=SETTINGS) as world:
        yield world


@dataclass
class Mix:
    """All that happens; each round is the same."""

    service: Service
    provider: ScriptedProvider
    backend: FakeToolService
    world: World

    async def round(self) -> None:
        """Calls, cancels, failures, a line, tasks, tools, questions, a lost lease, and a backend's calls."""
        await self._chats()
        await self.line()
        await self._tools()
        await self._questions()
        await self._lose_a_lease()
        await self._roll_out()

    async def line(self) -> None:
        """A chat and a task wait for another chat. From the second time on they are told an estimate."""
        before = len(self.provider.ledger)
        first = await answering(self.service)
        second, _ = await in_line(self.service)
        task = await start(self.service)
        self.provider.release(before + 1)
        for call in (first, second):
            await collect(call, [])
        assert await self.service.run_ended(task.task_id) == "succeeded"

    async def halt(self) -> None:
        """Fail until the rollout is halted, and name a percentage that there is not."""
        for _ in range(100):
            if self.world.value("llm_rollout_halted"):
                break
            await self.world.ask(request_of(INSIDE, model=GONE))
        assert self.world.value("llm_rollout_halted")
        self.world.set(Flag.PERCENTAGE, 1000)

    async def _chat(self, query: str, **fields: object) -> list[pb.ChatChunk]:
        chunks: list[pb.ChatChunk] = []
        with suppress(grpc.aio.AioRpcError):
            await collect(self.service.stub.StreamChat(chat_request(query, **fields)), chunks)
        return chunks

    async def _chats(self) -> None:
        await self._chat("well")
        self.provider.enqueue(Script(status=400))
        await self._chat("refused by the provider")
        options = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
        await self._chat("nobody is there", model=pb.ModelOptions(model="gone"), run_options=options)
        self.provider.enqueue(Script(status=429, retry_after=1))
        await self._chat("the vendor has too much to do")
        before = len(self.provider.ledger)
        leaving = await answering(self.service)
        leaving.cancel()
        assert await self.provider.ledger[before].ended() is Outcome.CLIENT_GONE

    async def _tools(self) -> None:
        self.backend.script("GetWeatherData", Answer(), Answer(status="INVALID_ARGUMENT"))
        self.provider.enqueue(wishing(LOOK), wishing(LOOK), wishing(wish("no_such_tool")), DONE)
        await self._chat("weather?", agent_type="weather")

    async def _questions(self) -> None:
        for decision in ("approved", "denied"):
            self.provider.enqueue(ADDS_MILK, DONE)
            chunks = await self._chat("milk?", agent_type="org_inbox")
            [asked] = await pending(self.service)
            await decide(self.service, asked, decision)
            assert await self.service.run_ended(chunks[0].run_id) == "succeeded"

    async def _lose_a_lease(self) -> None:
        """A task that another attempt has taken, which dies: it is reaped, and done in the end."""
        before = len(self.provider.ledger)
        self.provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
        task = await start(self.service)
        await (await self.provider.call(before + 1)).sent(1)
        async with connected(self.service.dsn) as connection:
            await connection.execute(
                "UPDATE runs SET attempt = attempt + 1 WHERE run_id = $1", UUID(task.task_id)
            )
        self.provider.release(before + 1)
        assert await self.service.run_ended(task.task_id, within=15.0) == "succeeded"

    async def _roll_out(self) -> None:
        for user in (INSIDE, OUTSIDE):
            assert (await self.world.ask(request_of(user))).ends == 1
            await self.world.rollout.shadow.settled()
        assert (await self.world.ask(request_of(INSIDE, model=GONE))).ends == 1
        self.provider.enqueue(Script(hold_after=0))
        assert (await self.world.ask(request_of(INSIDE))).ends == 1
        async with asyncio.timeout(10):
            await self.world.rollout.router.settled()
