"""Requests that name no agent, and what is seen of who answers them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Call
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import Service, running_service

AGENTS = {
    "chat": agent_text("chat"),
    "poet": agent_text(
        "poet", routing="{keywords: [a poem, rhyme about, verse], examples: [Write me a poem]}"
    ),
    "cook": agent_text("cook", routing="{keywords: [a recipe, cook me, dish]}"),
    "novel": agent_text("novel", routing="{editor_types: [fiction], keywords: [next chapter]}"),
    "critic": agent_text(
        "critic", routing="{editor_types: [fiction, .draft], keywords: [criticise, review]}"
    ),
    "wargame": agent_text("wargame", routing="{keywords: [war game], locks: true}"),
}
LONG = "Tell me about what my neighbour did with her garden last summer"
"""Nothing in it speaks for anybody."""


@asynccontextmanager
async def routed(
    dsn: str,
    provider: ScriptedProvider,
    folder: Path,
    *,
    routing: bool = True,
    files: Mapping[str, str] = AGENTS,
    **groups: Any,
) -> AsyncIterator[Service]:
    """A service with AGENTS, whose model may choose among them."""
    agents = {"folder": write_agents(folder / "agents", files), "reload_seconds": 0.05}
    groups["agents"] = {**agents, **groups.get("agents", {})}
    groups.setdefault("run", {"reap_seconds": 0.1})
    async with running_service(dsn, provider, routing=routing, **groups) as service:
        yield service


def says(name: str) -> Script:
    """A classifier's answer."""
    return Script(tokens=(orjson.dumps({"agent": name}).decode(),))


def who(chunks: list[pb.ChatChunk]) -> tuple[str, str]:
    """Who answered, and why, as the log says it, once."""
    [update] = [chunk.agent_update for chunk in chunks if chunk.HasField("agent_update")]
    assert chunks[-1].agent_name == update.agent_name
    return update.agent_name, update.routing_reason


def chose(call: Call) -> bool:
    """Whether a call was one that chooses an agent."""
    form = call.body.get("response_format") or {}
    return bool(form.get("json_schema", {}).get("name") == "choice_of_agent")
