"""The example of docs/tool-service.md, as a process of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from state.models import Owner
from tests.harness.process import ROOT
from tests.harness.tools import ANN, Told, call, context, options
from tests.toolserver.backend import TOKEN
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway
from tools.gateway.specs import SpecLimits

[EXAMPLE] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/tool-service.md").read_text(), re.DOTALL)
_START_SECONDS = 20.0


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[ToolGateway]:
    file = tmp_path / "example.py"
    file.write_text(EXAMPLE)
    variables = {
        "PYTHONPATH": str(ROOT / "client"),
        "TOOL_SERVICE_ADDRESS": "127.0.0.1:0",
        "TOOL_SERVICE_TOKEN": TOKEN,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, file, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode().strip()
        address = line.removeprefix("listening on ")
        async with ToolGateway(options(address, token=TOKEN)) as gateway:
            yield gateway
    finally:
        process.kill()
        await process.wait()


async def test_the_example_serves_each_user_what_is_theirs(gateway: ToolGateway) -> None:
    found = await call(gateway, "search_documents", {"query": "Cut"})
    assert found.text == '{"results":[{"document_id":"d1","title":"Roses"}],"total_count":1}'
    assert (await call(gateway, "get_document", {"document_id": "d1"})).ok
    for document in ("d2", "d3"):
        assert (await call(gateway, "get_document", {"document_id": document})).reason == "NOT_FOUND"
    assert (await call(gateway, "get_document", {"document_id": "d2"}, owner=Owner("bob"))).ok
    assert (await call(gateway, "search_web")).reason == "TOOL_OFF"
    source = Described(gateway, SpecLimits())
    [sunset] = await source.offered(ANN)
    outcome = await source.call(sunset, {"place": "Bonn"}, context(), Told())
    assert (sunset.name, outcome.text) == ("sunset", "At 20:15 in Bonn.")


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) < 40
