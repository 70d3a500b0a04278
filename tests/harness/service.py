"""The whole service in this process: real server, real Postgres, and a model at the scripted provider."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import grpc
from pydantic import SecretStr

from config.settings import Settings
from main import assembled
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.base import ChatModel
from providers.http.session import open_session
from providers.http.timeouts import ProviderTimeouts
from providers.openai_compatible.model import OpenAICompatibleModel
from tests.fakes.scripted_provider.provider import ScriptedProvider

TIMEOUTS = ProviderTimeouts(connect=1.0, first_token=5.0, between_tokens=5.0, total=30.0)


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


def settings_for_tests(**groups: Mapping[str, object]) -> Settings:
    """Default settings but for `groups`, on a free port. `tests/conftest.py` keeps the environment out."""
    values: dict[str, object] = {"server": {"address": "127.0.0.1:0", "drain_seconds": 1.0}}
    for name, group in groups.items():
        values[name] = {**values.get(name, {}), **group}  # type: ignore[dict-item]
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


@asynccontextmanager
async def scripted_model(base_url: str, timeouts: ProviderTimeouts = TIMEOUTS) -> AsyncIterator[ChatModel]:
    """The model a scripted provider serves."""
    async with open_session() as session:
        yield OpenAICompatibleModel(
            session,
            provider="scripted",
            base_url=base_url,
            model="scripted-1",
            api_key=SecretStr("sk-test"),
            context_tokens=8192,
            timeouts=timeouts,
        )


@asynccontextmanager
async def running_service(
    dsn: str,
    provider: ScriptedProvider,
    *,
    timeouts: ProviderTimeouts = TIMEOUTS,
    **groups: Mapping[str, object],
) -> AsyncIterator[Service]:
    """A service on a database; `groups` change settings, as `stream={"window_seconds": 0.5}`."""
    async with (
        scripted_model(provider.base_url, timeouts) as model,
        assembled(settings_for_tests(**groups), dsn, model) as (port, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield Service(rpc.OrchestratorServiceStub(channel), channel, port, dsn, provider)
