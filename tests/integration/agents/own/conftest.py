"""A service whose agents are graphs of callers, from a folder that the operator allows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import Service
from tests.harness.tooled import tooled

MODULES = Path(__file__).parent / "modules"
PLAIN = (
    "asks",
    "asks_late",
    "asks_twice",
    "breaking",
    "circling",
    "failing",
    "fan",
    "judging",
    "nested",
    "odd",
    "remembers",
    "sleeping",
    "two_nodes",
    "wrapping",
)
NOTES = "[add_org_inbox_item, get_weather_data, search_rss_feeds]"


def own_agents(**more: str) -> Mapping[str, str]:
    """One file for each graph of `own_plays`, called as the graph is; `more` stands in all of them."""
    files = {name: agent_text(name, shape=f"own_plays:{name}", **more) for name in PLAIN}
    with_tools = {
        name: agent_text(name, shape=f"own_plays:{name}", tools=NOTES, **more) for name in ("notes", "react")
    }
    return {"chat": agent_text("chat"), **files, **with_tools}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    return write_agents(tmp_path / "agents", own_agents())


def owning(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, catalog: Path, **groups: Any
) -> AbstractAsyncContextManager[Service]:
    """The service; `groups` change settings."""
    groups["agents"] = {"graphs_folder": MODULES, **groups.get("agents", {})}
    return tooled(dsn, provider, backend, catalog=catalog, **groups)


@pytest.fixture
async def own(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, catalog: Path
) -> AsyncIterator[Service]:
    async with owning(dsn, provider, backend, catalog) as service:
        yield service
