"""Agents' files that change while the service runs, or between two of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.catalogue import agent_text, write_agents
from tests.harness.service import Service, chat_request, collect
from tests.integration.routing.asking import AGENTS, LONG, routed, says, who
from tests.integration.routing.logs import Lines, heard

HELD = Script(tokens=("one", " two"), hold_after=1)
READ = "the agents' files were read again"
REFUSED = "agents' files are refused, the last good ones stay"
LONGER = {"cook": AGENTS["cook"].replace("Be brief.", "Be long.")}


def prompts(provider: ScriptedProvider) -> list[str]:
    """The prompts that the model was shown, in order."""
    return [call.body["messages"][0]["content"] for call in provider.ledger]


@pytest.fixture
async def watched(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> AsyncIterator[tuple[Service, Path, Lines]]:
    async with routed(dsn, provider, tmp_path) as service:
        with heard() as lines:
            yield service, tmp_path / "agents", lines


async def test_a_changed_prompt_counts_for_the_next_run_and_not_for_the_one_that_runs(
    watched: tuple[Service, Path, Lines], provider: ScriptedProvider
) -> None:
    service, folder, lines = watched
    provider.enqueue(HELD)
    chunks: list[pb.ChatChunk] = []
    running = asyncio.create_task(collect(service.stub.StreamChat(chat_request(agent_type="cook")), chunks))
    await provider.call(1)
    write_agents(folder, LONGER)
    assert await lines.next() == READ
    after = await service.chat(agent_type="cook")
    provider.release()
    await running
    assert prompts(provider) == ["Be brief.", "Be long."]
    versions = [c.agent_update.agent_version for c in [*chunks, *after] if c.HasField("agent_update")]
    assert len(set(versions)) == 2


async def test_a_new_file_is_a_new_agent_and_one_that_is_gone_is_none(
    watched: tuple[Service, Path, Lines],
) -> None:
    service, folder, lines = watched
    write_agents(folder, {"actor": agent_text("actor")})
    assert await lines.next() == READ
    assert who(await service.chat(agent_type="actor")) == ("actor", "explicit")
    (folder / "actor.md").unlink()
    assert await lines.next() == READ
    info = await service.stub.GetServerInfo(pb.GetServerInfoRequest())
    assert sorted(info.agents) == sorted(AGENTS)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ({"cook": "no front matter"}, "cook.md: expected"),
        ({"cook": agent_text("cook", shape="spiral")}, "cook.md: shape: "),
        ({"cook": agent_text("cook", "Speak {{language}}.")}, "{{language}}"),
        ({"cook": agent_text("cook", shape="react", tools="[no_such_tool]")}, "'no_such_tool'"),
        ({"cook": agent_text("cook", aliases="[poet]")}, "'poet'"),
        ({"chat": agent_text("talk")}, "'chat'"),
    ],
)
async def test_what_is_broken_keeps_the_last_good_version_and_says_so_once(
    watched: tuple[Service, Path, Lines],
    provider: ScriptedProvider,
    broken: dict[str, str],
    line: str,
) -> None:
    service, folder, lines = watched
    write_agents(folder, broken)
    assert await lines.next() == REFUSED
    assert line in str(vars(lines.records[0])["reasons"])
    [name] = broken
    assert who(await service.chat(agent_type=name)) == (name, "explicit")
    assert prompts(provider)[-1] == "Be brief."
    assert len(lines.records) == 1
    write_agents(folder, {name: AGENTS[name].replace("Be brief.", "Be long.")})
    assert await lines.next() == READ
    await service.chat(agent_type=name)
    assert prompts(provider)[-1] == "Be long."


async def test_one_broken_file_does_not_keep_another_from_being_read(
    watched: tuple[Service, Path, Lines], provider: ScriptedProvider
) -> None:
    service, folder, lines = watched
    write_agents(folder, {"poet": "broken"})
    assert await lines.next() == REFUSED
    write_agents(folder, LONGER)
    assert {await lines.next(), await lines.next()} == {REFUSED, READ}
    await service.chat(agent_type="cook")
    await service.chat(agent_type="poet")
    assert prompts(provider) == ["Be long.", "Be brief."]


@asynccontextmanager
async def left_behind(
    dsn: str, provider: ScriptedProvider, folder: Path, *scripts: Script
) -> AsyncIterator[tuple[Service, str]]:
    """Another process, after one that has left a task in its middle; the agents' files have changed since."""
    server = {"drain_seconds": 0.0}
    async with routed(dsn, provider, folder, server=server) as service:
        provider.enqueue(*scripts, HELD)
        task = await service.stub.StartTask(pb.TaskRequest(user_id="ann", query=LONG))
        await provider.call(len(scripts) + 1)
    files = {name: text.replace("Be brief.", "Be long.") for name, text in AGENTS.items()}
    async with routed(dsn, provider, folder, files=files) as service:
        yield service, task.task_id


async def test_a_run_keeps_its_agent_and_its_version_over_a_restart(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with left_behind(dsn, provider, tmp_path, says("cook")) as (service, task_id):
        await provider.call(3)
        assert await service.run_ended(task_id) == "succeeded"
        request = pb.ResumeStreamRequest(user_id="ann", run_id=task_id)
        chunks = [chunk async for chunk in service.stub.ResumeStream(request)]
        await service.chat(agent_type="cook")
    assert who(chunks) == ("cook", "classifier")
    assert prompts(provider)[1:] == ["Be brief.", "Be brief.", "Be long."]
    assert chunks[-1].usage.model_calls == 3


async def test_a_run_that_was_left_before_its_agent_was_chosen_is_routed_where_it_goes_on(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with left_behind(dsn, provider, tmp_path) as (service, task_id):
        provider.release()
        await provider.call(2)
        assert await service.run_ended(task_id) == "succeeded"
    assert len(provider.ledger) == 3
