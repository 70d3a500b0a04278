"""MCP servers, as real processes: what is offered, what is called, and what happens when they die."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.harness.process import ROOT
from tests.harness.tools import ANN, Told, context
from tests.unit.gate.manual_time import ManualTime
from tools.base import Tool, ToolOutcome
from tools.mcp.file import McpLimits, McpServer
from tools.mcp.source import McpServers
from tools.policy import PolicyContext, Verdict, verdict

COMMAND = (sys.executable, "-m", "tests.fakes.mcp_server")
LIMITS = McpLimits(seconds=10.0, max_result_bytes=1000)


def stdio(*tools: str, **fields: Any) -> McpServer:
    return McpServer(command=COMMAND, cwd=ROOT, tools=tools or ("*",), **fields)


@asynccontextmanager
async def sources(
    server: McpServer, environment: Mapping[str, str] | None = None, **fields: Any
) -> AsyncIterator[McpServers]:
    async with McpServers(
        {"small": server}, environment or {}, fields.pop("limits", LIMITS), **fields
    ) as made:
        yield made


async def tools_of(source: McpServers) -> dict[str, Tool]:
    return {tool.name: tool for tool in await source.offered(ANN)}


async def call(source: McpServers, name: str, told: Told | None = None, **arguments: Any) -> ToolOutcome:
    tool = (await tools_of(source)).get(f"small__{name}") or Tool(f"small__{name}", "", {}, "")
    return await source.call(tool, arguments, context(), told or Told())


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "tests.fakes.mcp_server" in p.cmdline()]


async def test_a_command_is_started_when_tools_are_asked_for_and_ended_with_us() -> None:
    async with sources(stdio("add", "say")) as source:
        assert children() == []
        assert set(await tools_of(source)) == {"small__add", "small__say"}
        (process,) = children()
        assert (await call(source, "add", a=2, b=3)).text == "5"
        assert children() == [process]
    assert not process.is_running()


async def test_only_what_the_file_lists_is_offered_and_callable() -> None:
    async with sources(stdio("a*", "files.*")) as source:
        assert set(await tools_of(source)) == {"small__add", "small__files_write"}
        assert (await call(source, "die")).reason == "TOOL_OFF"


async def test_no_hint_of_a_server_makes_its_tools_go_unasked_and_results_are_untrusted() -> None:
    async with sources(stdio()) as source:
        tools = await tools_of(source)
        outcome = await call(source, "add", a=1, b=1)
    assert outcome == ToolOutcome(True, "2", "1 parts", untrusted=True)
    for tool in tools.values():
        assert verdict(tool, PolicyContext()) is Verdict.ASK
        assert (tool.read_only, tool.idempotent, tool.open_world) == (False, False, True)
        assert tool.operation_type == "external_api"
    assert [name for name, tool in tools.items() if not tool.destructive] == [
        "small__add",
        "small__files_write",
    ]


async def test_what_the_operator_knows_of_a_tool_counts() -> None:
    known = {
        "add": {"read_only": True, "trusted": True, "operation_type": "calculation"},
        "say": {"spends": True, "destructive": False, "asks": True},
    }
    async with sources(stdio("add", "say", "fail", tool=known, operation_type="small_things")) as source:
        tools = await tools_of(source)
        outcome = await call(source, "add", a=1, b=1)
    add, say, fail = (tools[f"small__{name}"] for name in ("add", "say", "fail"))
    assert (add.read_only, add.destructive, add.operation_type) == (True, False, "calculation")
    assert not outcome.untrusted
    assert (say.spends, say.destructive, say.asks) == (True, False, True)
    assert (fail.operation_type, fail.destructive) == ("small_things", True)


async def test_a_command_is_given_the_variables_it_names_and_no_others() -> None:
    environment = {"SMALL_KEY": "k", "OTHER_KEY": "canary"}
    async with sources(stdio("variable", env=("SMALL_KEY",)), environment) as source:
        assert (await call(source, "variable", which="SMALL_KEY")).text == "k"
        assert (await call(source, "variable", which="OTHER_KEY")).text == "not set"


async def test_what_a_tool_says_is_told_and_cut_at_the_cap() -> None:
    async with sources(stdio("say", "fail", "add")) as source:
        long = await call(source, "say", text="x" * 5000)
        assert long.truncated
        assert len(long.text) <= 1000
        failed = await call(source, "fail")
        assert (failed.ok, failed.reason, failed.untrusted) == (False, "TOOL_REFUSED", True)
        wrong = await call(source, "add", a="one", b=1)
        assert wrong.reason == "INVALID_ARGUMENTS"


async def test_progress_is_passed_on_and_a_cancelled_call_is_cancelled_there(tmp_path: Path) -> None:
    told, marker = Told(), tmp_path / "cancelled"
    async with sources(stdio("wait", "add")) as source:
        calling = asyncio.create_task(call(source, "wait", told, marker=str(marker)))
        async with asyncio.timeout(15):
            await told.changed.wait()
            assert told.lines == [("begun", 0.25)]
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            while not marker.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.02)
        assert (await call(source, "add", a=1, b=1)).ok


async def test_a_slow_tool_is_left_in_time(tmp_path: Path) -> None:
    known = {"add": {"read_only": True}}
    async with sources(stdio("wait", "add", tool=known), limits=McpLimits(seconds=0.3)) as source:
        outcome = await call(source, "wait", marker=str(tmp_path / "m"))
        assert outcome.reason == "TOOL_TIMEOUT"
        assert "It is not known whether" in outcome.text
        tool = (await tools_of(source))["small__add"]
        late = await source.call(tool, {"a": 1, "b": 1}, context(seconds=-1.0), Told())
        assert late.reason == "DEADLINE_EXCEEDED"


async def test_a_server_that_dies_has_its_tools_off_and_is_started_again_later() -> None:
    time = ManualTime()
    async with sources(stdio("die", "add"), clock=time.clock, off_seconds=60.0) as source:
        outcome = await call(source, "die")
        assert (outcome.ok, outcome.reason) == (False, "TOOL_UNAVAILABLE")
        assert await tools_of(source) == {}
        assert (await call(source, "add", a=1, b=1)).reason == "TOOL_OFF"
        time.advance(61)
        assert (await call(source, "add", a=1, b=1)).text == "2"
    assert children() == []


@pytest.mark.parametrize(
    "server",
    [
        McpServer(command=("/nowhere/nothing",), tools=("*",)),
        McpServer(command=(sys.executable, "-c", "print('hello')"), tools=("*",)),
        McpServer(url="http://127.0.0.1:1/mcp", tools=("*",)),
    ],
    ids=["no such command", "no MCP server", "nobody there"],
)
async def test_a_server_that_cannot_be_reached_offers_nothing_and_harms_nobody(server: McpServer) -> None:
    async with McpServers({"bad": server, "small": stdio("add")}, {}, LIMITS) as source:
        assert set(await tools_of(source)) == {"small__add"}


async def test_a_server_that_never_answers_is_ended_with_us() -> None:
    silent = McpServer(command=(sys.executable, "-c", "import time; time.sleep(3600)"), tools=("*",))
    async with sources(silent, connect_seconds=0.5) as source:
        assert await tools_of(source) == {}
    assert not [p for p in psutil.Process().children() if "time.sleep(3600)" in " ".join(p.cmdline())]


@pytest.fixture
async def http_port() -> AsyncIterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = await asyncio.create_subprocess_exec(*COMMAND, "--port", str(port), cwd=ROOT)
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            break
    yield port
    with suppress(ProcessLookupError):  # the test may have made it end
        process.kill()
    await process.wait()


async def test_a_server_over_http_is_called_and_missed_when_it_is_gone(http_port: int) -> None:
    server = McpServer(url=f"http://127.0.0.1:{http_port}/mcp", tools=("add", "die"))
    async with sources(server) as source:
        assert (await call(source, "add", a=2, b=2)).text == "4"
        assert (await call(source, "die")).reason == "TOOL_UNAVAILABLE"
        assert await tools_of(source) == {}
