"""Agents on the embedded model, end to end: what they answer is poor, that they work is not."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf import json_format

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.configured import configured
from tests.harness.retention import value
from tests.harness.service import Service, settings_for_tests, text_of
from tests.harness.tooled import kinds, rest

pytestmark = [pytest.mark.model]

CLOCK = agent_text("clock", "You tell people the time.", shape="react", tools="[current_time, calculator]")
WATCH = agent_text("watch", "You tell people the time.", shape="react", tools="[current_time]")


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> AsyncIterator[Service]:
    """The service as it is without a key; the scripted provider is never asked."""
    agents = {"chat": agent_text("chat", "You are a helpful assistant."), "clock": CLOCK, "watch": WATCH}
    settings = settings_for_tests(
        embedded={"folder": tmp_path / "data"}, local_model={"max_output_tokens": 60}
    )
    folder = write_agents(tmp_path / "agents", agents)
    async with configured(settings, dsn, provider, catalog=folder) as service:
        yield service


async def test_chat_answers_and_a_later_turn_knows_of_it(service: Service) -> None:
    begun = time.monotonic()
    first = await service.chat("hello", agent_type="chat", conversation_id="c1")
    second = await service.chat("And a joke?", agent_type="chat", conversation_id="c1")
    for chunks in (first, second):
        assert chunks[-1].complete.final_text == text_of(chunks) != ""
        assert chunks[-1].metadata["provider"] == "local"
        assert sum(chunk.HasField("content") for chunk in chunks) > 1
    assert second[-1].usage.input_tokens > first[-1].usage.input_tokens
    print(f"two turns of chat: {time.monotonic() - begun:.1f} s")  # noqa: T201


async def test_an_agent_calls_its_tool_and_answers_with_what_it_has_brought(service: Service) -> None:
    begun = time.monotonic()
    chunks = await service.chat("What time is it?", agent_type="watch", conversation_id="c1")
    print(f"a turn with a tool: {time.monotonic() - begun:.1f} s: {text_of(chunks)!r}")  # noqa: T201
    assert kinds(chunks) == ["status", "agent_update", "tool_call", "tool_result", "content", "complete"]
    [call] = [chunk.tool_call for chunk in chunks if chunk.HasField("tool_call")]
    [result] = [chunk.tool_result for chunk in chunks if chunk.HasField("tool_result")]
    assert (call.tool_name, json_format.MessageToDict(call.arguments)) == ("current_time", {})
    assert result.ok
    end = chunks[-1]
    assert list(end.tools_used) == ["current_time"]
    assert end.usage.model_calls == 2
    assert end.complete.final_text == text_of(chunks) != ""
    assert kinds(await rest(service, chunks[0].run_id)) == kinds(chunks)
    stored = "SELECT result FROM runs WHERE conversation_id = 'c1'"
    assert await value(service.dsn, stored) == text_of(chunks)
    later = await service.chat("And now?", agent_type="chat", conversation_id="c1")
    assert later[-1].usage.input_tokens > len(text_of(chunks)) // 5  # it was shown the answer


async def test_of_two_tools_it_names_one_and_gives_it_what_it_needs(service: Service) -> None:
    chunks = await service.chat("What is 17 times 23?", agent_type="clock")
    [call] = [chunk.tool_call for chunk in chunks if chunk.HasField("tool_call")]
    arguments = json_format.MessageToDict(call.arguments)
    assert call.tool_name in ("current_time", "calculator")
    assert set(arguments) == ({"expression"} if call.tool_name == "calculator" else set())
    assert chunks[-1].complete.finish_reason in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_LENGTH)
    print(f"{call.tool_name} {arguments}: {text_of(chunks)!r}")  # noqa: T201
