"""The README's examples, run as they stand there."""

import re
import shlex
import sys
from collections.abc import AsyncIterator

import pytest

from tests.client.callers import client_of, rest_of
from tests.client.processes import ORCHESTRATOR, finished
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.process import ROOT
from tests.harness.service import Service
from tests.harness.tooled import ADDS_MILK, DONE, tooled

README = (ROOT / "client" / "README.md").read_text()
ANSWER = Script(tokens=("A lease", " ends."))


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    """One where a permission waits."""
    async with FakeToolService() as backend, tooled(dsn, provider, backend) as service:
        provider.enqueue(ADDS_MILK)
        async with client_of(f"127.0.0.1:{service.port}") as client:
            await rest_of(client.chat("note: milk", agent_type="org_inbox"))
        yield service


def section(title: str, language: str) -> str:
    """The code of a section."""
    text = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    (code,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(code)


async def example(service: Service, title: str) -> list[str]:
    """What a section's example prints."""
    code = section(title, "python").replace("localhost:50051", f"127.0.0.1:{service.port}")
    result, output, errors = await finished(sys.executable, "-W", "error", "-c", code)
    assert (result, errors) == (0, ""), title
    return output.splitlines()


async def test_the_examples_run(service: Service) -> None:
    service.provider.enqueue(DONE)
    assert await example(service, "Permissions") == [
        "add_org_inbox_item {'kind': 'todo', 'text': 'buy milk'}",
        "I add it.",
        "",
        "Done.",
    ]
    service.provider.default = ANSWER
    text, ids = await example(service, "A chat")
    assert text == "A lease ends."
    assert ids.endswith(" A lease ends.")
    result, listed = await example(service, "Tasks")
    assert result == "A lease ends."
    assert listed.endswith(" SUCCEEDED A lease ends.")
    *events, health = await example(service, "Without a loop")
    assert (events[0], events[-1].split()[0], health) == ("status 1", "complete", "healthy")


async def test_the_commands_run(service: Service) -> None:
    service.provider.default = ANSWER
    target = {"ORCHESTRATOR_TARGET": f"127.0.0.1:{service.port}"}
    said = []
    for line in section("On the command line", "sh").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "orchestrator"
        code, output, errors = await finished(*ORCHESTRATOR, *arguments, **target)
        assert (code, errors) == (0, ""), line
        said.append(output)
    assert said[0].startswith("healthy ")
    assert said[1] == "A lease ends.\n"
    assert len(said[2].strip()) == 32
    assert "add_org_inbox_item" in said[3]
