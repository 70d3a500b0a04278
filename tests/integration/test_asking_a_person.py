"""The README's question to a person, from the chat to its answer, by grpcurl alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.process import tool_service_process
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.readme import grpcurl_commands, messages, readme_command, shown_messages
from tests.harness.tooled import MILK, wish, wishing

SECTION = "Tools, and asking a person"
OF_THIS_RUN = {"timestamp", "time", "expire_time", "create_time", "permission_id", "run_id", "tool_call_id"}
NOTES = wishing(wish("add_org_inbox_item", MILK), text="I note that down.")


@pytest.fixture
async def process(dsn: str, tmp_path: Path) -> AsyncIterator[OrchestratorProcess]:
    """`python main.py` beside a backend and a model that are processes too."""
    async with scripted_provider_process() as provider, tool_service_process() as backend:
        await provider.enqueue(NOTES, Script(tokens=("It is in your inbox.",)))
        environment = {
            "DATABASE_URL": dsn,
            "OPENAI_BASE_URL": provider.base_url,
            "USE_GRPC_TOOL_SERVICE": "true",
            "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        }
        async with orchestrator_process(tmp_path, **environment) as process:
            yield process


async def test_the_readmes_question_is_asked_decided_and_answered(process: OrchestratorProcess) -> None:
    said = [messages(await readme_command(process.address, c)) for c in grpcurl_commands(SECTION)]
    chat, listed, approved, resumed, pending = said
    assert chat[-1]["complete"] == {"finish_reason": "FINISH_REASON_WAITING_FOR_PERMISSION"}
    [permission] = listed[0]["permissions"]
    assert permission["arguments"] == MILK
    assert approved[0]["arguments_digest"] == permission["arguments_digest"]
    assert resumed[-1]["tools_used"] == ["add_org_inbox_item"]
    assert pending == [{}]
    for shown in shown_messages(SECTION):
        assert any(fits(shown, message) for answer in said for message in answer), shown


def fits(shown: Any, got: Any) -> bool:
    """Whether an answer is as the README shows it, which leaves some of it out."""
    if not isinstance(shown, dict):
        return bool(shown == got)
    return all(
        name in got and (name in OF_THIS_RUN or fits(value, got[name])) for name, value in shown.items()
    )
