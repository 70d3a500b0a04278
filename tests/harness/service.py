"""The whole service in this process: real server, real Postgres, and a model at the scripted provider."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg
import grpc

from config.settings import Settings
from main import assembled
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.breaker import BreakerSettings
from providers.file.defaults import single_model
from providers.file.endpoints import Endpoint
from providers.file.entries import Limits, Timeouts
from providers.gate.gate import ModelGate
from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings
from providers.http.factory import HTTPAdapterFactory
from providers.http.session import open_session
from providers.openai_compatible.model import OpenAICompatibleModel
from providers.pool.assembly import Assembly
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from state.postgres.roles import Logins
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import logins_to

TIMEOUTS = Timeouts(
    connect_seconds=1.0, first_token_seconds=5.0, between_tokens_seconds=5.0, total_seconds=30.0
)


_STATE = "SELECT state FROM orchestrator.runs WHERE run_id = $1"
_TERMINAL_STATE = "SELECT state FROM orchestrator.runs WHERE run_id = $1 AND end_time IS NOT NULL"


@dataclass
class Service:
    """A running service and what it stands on."""

    stub: "rpc.OrchestratorServiceAsyncStub"
    channel: grpc.aio.Channel
    port: int
    dsn: str
    provider: ScriptedProvider

    async def chat(self, query: str = "hello", **fields: object) -> list[pb.ChatChunk]:
        """Every chunk of one StreamChat."""
        return [chunk async for chunk in self.stub.StreamChat(chat_request(query, **fields))]

    async def run_is(self, run_id: str, state: str, *, within: float = 5.0) -> None:
        """Return when the run's row says so."""
        connection = await asyncpg.connect(self.dsn)
        try:
            async with asyncio.timeout(within):
                while True:
                    if await connection.fetchval(_STATE, UUID(run_id)) == state:
                        return
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()

    async def run_ended(self, run_id: str, *, within: float = 5.0) -> str:
        """The terminal state of a run, as its row says, once it has one."""
        connection = await asyncpg.connect(self.dsn)
        try:
            async with asyncio.timeout(within):
                while True:
                    state = await connection.fetchval(_TERMINAL_STATE, UUID(run_id))
                    if state is not None:
                        return str(state)
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()


def chat_request(query: str = "hello", **fields: object) -> pb.ChatRequest:
    """A valid request of user `ann`, changed by `fields`."""
    values: dict[str, object] = {"user_id": "ann", "query": query, **fields}
    return pb.ChatRequest(**values)  # type: ignore[arg-type]


async def collect(call: AsyncIterable[pb.ChatChunk], chunks: list[pb.ChatChunk]) -> None:
    """Read a stream into a list, which keeps what came before a failure."""
    async for chunk in call:
        chunks.append(chunk)


def text_of(chunks: Sequence[pb.ChatChunk]) -> str:
    """The answer as its content chunks spell it."""
    return "".join(c.content.text for c in chunks if c.content.channel == pb.CONTENT_CHANNEL_ANSWER)


def settings_for_tests(**groups: Mapping[str, object] | bool) -> Settings:
    """Default settings but for `groups`, on a free port. `tests/conftest.py` keeps the environment out."""
    values: dict[str, object] = {
        "server": {"address": "127.0.0.1:0", "drain_seconds": 1.0},
        "run": {"max_repeated_chunks": 1_000_000},  # many a script repeats itself
        "provider": {"routing": False},  # no call but those that a test is about
        "agents": {"titles": "rule"},
        "metrics": {"address": ""},  # one port, and many services at once
    }
    for name, group in groups.items():
        is_group = isinstance(group, Mapping)
        values[name] = {**values.get(name, {}), **group} if is_group else group  # type: ignore[dict-item]
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


def patient_gate(endpoint: Endpoint) -> ModelGate:
    """A gate that opens for no failure: most tests are about something else."""
    never = BreakerSettings(consecutive_failures=1_000_000, window_calls=1_000_000)
    most = endpoint.limits.max_concurrency
    limit = LimitSettings(initial=most, ceiling=most)
    return ModelGate(endpoint.info, GateSettings(breaker=never, limit=limit))


@asynccontextmanager
async def scripted_models(
    base_url: str, timeouts: Timeouts = TIMEOUTS, *, routing: bool = False
) -> AsyncIterator[ModelPool]:
    """The model that a scripted provider serves, as every class. `routing`: it may choose agents."""
    configuration = single_model(
        provider="scripted",
        kind="openai",
        base_url=base_url,
        api_key_env="KEY",
        model="scripted-1",
        context_tokens=8192,
        routing=routing,
        limits=Limits(max_concurrency=10_000),
        timeouts=timeouts,
    )
    async with open_session() as session:
        adapters = {"openai": HTTPAdapterFactory(OpenAICompatibleModel, session, "")}
        assembly = Assembly(adapters, patient_gate, {"KEY": "sk-test"}, production=False)
        async with ModelPool(assembly, configuration, retry_budget=RetryBudget(share=0.0)) as pool:
            yield pool


@asynccontextmanager
async def running_service(
    dsn: str,
    provider: ScriptedProvider,
    *,
    timeouts: Timeouts = TIMEOUTS,
    catalog: Path | None = None,
    routing: bool = False,
    logins: Logins | None = None,
    **groups: Mapping[str, object],
) -> AsyncIterator[Service]:
    """A service on a database; `groups` change settings, as `stream={"window_seconds": 0.5}`.

    `catalog` is the folder of its agents, `logins` are others than those of our own Postgres.
    """
    if catalog is not None:
        groups["agents"] = {**groups.get("agents", {}), "folder": catalog}
    logins = logins or logins_to(dsn)
    async with (
        scripted_models(provider.base_url, timeouts, routing=routing) as models,
        assembled(settings_for_tests(**groups), logins.work, models, callers=logins.callers) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Service(rpc.OrchestratorServiceStub(channel), channel, port, dsn, provider)
