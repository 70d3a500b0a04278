"""An agent of the service uses a backend that is built on the package."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from llm_orchestrator_client.protos import tool_service_pb2 as client_pb
from llm_orchestrator_client.tool_service import (
    BearerTokens,
    Call,
    DescribedTools,
    Hints,
    Output,
    Progress,
    Steps,
    ToolServiceServer,
)
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import Service, running_service, text_of
from tests.harness.tooled import ADDS_MILK, DONE, SHORT, decide, kinds, pending, rest, told, wish, wishing
from tests.toolserver.backend import ANYWHERE, TOKEN, Recording

CLERK = agent_text(
    "clerk",
    shape="react",
    tools="[described:count_words, add_org_inbox_item]",
    permissions="{count_words: allow}",
)


@pytest.fixture
def tools() -> DescribedTools:
    tools = DescribedTools()
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    @tools.tool("Counts the words of a text.", schema, Hints(read_only=True))
    async def count_words(call: Call, arguments: dict[str, Any]) -> Steps:
        yield Progress("counting", 0.5)
        yield Output(f"{call.user} has {len(arguments['text'].split())} words")

    return tools


@pytest.fixture
async def service(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, backend: Recording, tools: DescribedTools
) -> AsyncIterator[Service]:
    catalog = write_agents(tmp_path / "agents", {"chat": agent_text("chat"), "clerk": CLERK})
    tokens = BearerTokens.of(TOKEN)
    async with ToolServiceServer(backend, ANYWHERE, authenticator=tokens, described=tools) as server:
        groups: dict[str, Any] = {
            "tools": {"address": server.address, "token": TOKEN},
            "use_grpc_tool_service": True,
            "run": SHORT,
        }
        async with running_service(dsn, provider, catalog=catalog, **groups) as service:
            yield service


async def test_a_described_tool_is_used_by_a_run_and_its_progress_is_seen(service: Service) -> None:
    service.provider.enqueue(wishing(wish("count_words", {"text": "one two three"})), DONE)
    chunks = await service.chat("how many?", agent_type="clerk")
    assert "ann has 3 words" in told(service.provider, 2)[0]
    [result] = [chunk.tool_result for chunk in chunks if chunk.HasField("tool_result")]
    assert result.ok
    shown = [(chunk.message, chunk.status.progress) for chunk in chunks if chunk.HasField("status")]
    assert ("count_words: counting", 0.5) in shown
    assert text_of(chunks) == "Done."


async def test_arguments_that_do_not_fit_are_told_to_the_model(service: Service) -> None:
    service.provider.enqueue(wishing(wish("count_words", {"text": 7})), DONE)
    await service.chat("how many?", agent_type="clerk")
    assert "schema" in told(service.provider, 2)[0]


async def test_what_a_person_approved_is_done_once_as_that_user(service: Service, backend: Recording) -> None:
    async def add(call: Call, request: Any) -> Any:
        return client_pb.AddOrgInboxItemResponse(success=True, line_index=4)

    backend.answers["add_org_inbox_item"] = add
    service.provider.enqueue(ADDS_MILK, DONE)
    chunks = await service.chat("add milk", agent_type="clerk")
    [asked] = await pending(service)
    assert backend.seen == []
    await decide(service, asked)
    log = await rest(service, chunks[0].run_id, chunks[-1].sequence)
    assert kinds(log)[-1] == "complete"
    [seen] = backend.seen
    assert (seen.request.text, seen.call.user, seen.call.run_id) == ("buy milk", "ann", chunks[0].run_id)
    assert seen.call.call_id
