"""A service with an agent `farm` that is elsewhere."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.orchestrator.play import Play, answered, called, done, text
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import Service, chat_request, collect, running_service

FARM = "{service: farm, agent_type: chat}"
QUICK = {"reconnect_seconds": 0.5, "first_seconds": 5.0, "silence_seconds": 5.0}
SHORT = {"reap_seconds": 0.1, "retry_seconds": 0.1}

THINKS = text("hm", channel=pb.CONTENT_CHANNEL_REASONING)
PLAN = pb.ChatChunk(plan=pb.PlanUpdate())
PLAN.plan.plan.update({"rows": 3})
WHOLE = Play(
    [
        THINKS,
        text("I dig"),
        text("."),
        called("t1"),
        answered("t1"),
        PLAN,
        text(" Done", 1),
        text("!", 1),
        done("I dig. Done!"),
    ]
)


def remotes_file(folder: Path, address: str, **fields: object) -> Path:
    """A file with the remote `farm`."""
    values = {"address": address, **QUICK, **fields}
    lines = [f"{name} = {_toml(value)}" for name, value in values.items()]
    file = folder / "remotes.toml"
    file.write_text("\n".join(["[remotes.farm]", *lines]) + "\n")
    return file


def agents_folder(folder: Path, **fields: str) -> Path:
    """`chat` here, and `farm`, which is there."""
    farm = agent_text("farm", "", shape="remote", **{"remote": FARM, **fields})
    return write_agents(folder / "agents", {"chat": agent_text("chat"), "farm": farm})


@asynccontextmanager
async def with_remote(
    dsn: str,
    provider: ScriptedProvider,
    folder: Path,
    address: str,
    *,
    entry: Mapping[str, object] | None = None,
    agent: Mapping[str, str] | None = None,
    **groups: Any,
) -> AsyncIterator[Service]:
    """`entry` changes the remote's entry, `agent` the agent's file, `groups` settings."""
    file = remotes_file(folder, address, **(entry or {}))
    groups["remotes"] = {"file": file, **groups.get("remotes", {})}
    groups["run"] = {**SHORT, **groups.get("run", {})}
    catalog = agents_folder(folder, **(agent or {}))
    async with running_service(dsn, provider, catalog=catalog, **groups) as service:
        yield service


async def ask(service: Service, query: str = "hello", **fields: object) -> list[pb.ChatChunk]:
    """Every chunk of a turn of the agent that is elsewhere."""
    return await service.chat(query, **{"agent_type": "farm", **fields})


async def refused(service: Service, **fields: object) -> tuple[list[pb.ChatChunk], grpc.aio.AioRpcError]:
    """The chunks of a turn that fails, and how it does."""
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.StreamChat(chat_request(**{"agent_type": "farm", **fields})), chunks)  # type: ignore[arg-type]
    return chunks, raised.value


def standing(log: list[pb.ChatChunk], channel: int = pb.CONTENT_CHANNEL_ANSWER) -> str:
    """The text that readers have in the end, who discard what they are told to."""
    found: dict[int, str] = {}
    for chunk in log:
        if chunk.HasField("reset"):
            found = {at: said for at, said in found.items() if at < chunk.reset.from_sequence}
        if chunk.content.channel == channel:
            found[chunk.sequence] = chunk.content.text
    return "".join(found.values())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'
