"""What the files of the catalogue allow without asking, against what tools there are."""

import pytest

from tests.harness.catalogue import agent_named, shipped
from tests.harness.tools import options
from tools.gateway.gateway import ToolGateway
from tools.policy import PolicyContext, Verdict, verdict
from tools.table.typed import NAMES

AGENTS = shipped()
GATEWAY = ToolGateway(options("127.0.0.1:1"))
OPEN_READS = {("fact_checking", "search_web"), ("research", "search_web")}
"""Reads of the open world that are an agent's very purpose; nothing else is widened."""


@pytest.mark.parametrize("name", AGENTS.names)
def test_an_agent_asks_for_all_that_writes_spends_sends_or_reaches_out(name: str) -> None:
    spec = agent_named(name)
    context = PolicyContext(overrides=spec.permissions)
    tools = [GATEWAY.tool(tool) for tool in spec.tools if tool in NAMES]
    unasked = {tool.name for tool in tools if verdict(tool, context) is Verdict.ALLOW}
    for tool in tools:
        harmless = tool.read_only and not tool.spends and not tool.destructive
        if tool.open_world:
            assert (tool.name in unasked) is ((name, tool.name) in OPEN_READS)
        else:
            assert (tool.name in unasked) is harmless


@pytest.mark.parametrize("name", AGENTS.names)
def test_what_a_file_allows_of_described_tools_is_named_as_reading(name: str) -> None:
    spec = agent_named(name)
    allowed = {tool for tool, said in spec.permissions.items() if said is Verdict.ALLOW}
    assert all(tool.startswith(("get_", "search_")) for tool in allowed)
