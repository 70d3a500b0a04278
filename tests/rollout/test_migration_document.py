"""The program of docs/migration.md, taken through its phases in front of the real service."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llm_orchestrator_client.events import ContentDelta
from llm_orchestrator_client.rollout.flag_file import write_flag
from llm_orchestrator_client.rollout.flags import Flag
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import ROOT
from tests.harness.service import Service
from tests.rollout.rolling import flags_on

TEXT = (ROOT / "docs/migration.md").read_text()
THERE = "Said there."


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    return flags_on(tmp_path / "flags.json", 0)


@pytest.fixture
async def program(
    service: Service, flags: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    """Its names, with an orchestrator and a flag file to find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_TARGET", f"127.0.0.1:{service.port}")
    monkeypatch.setenv("GRPC_ROLLOUT_FLAGS", f"file:{flags}")
    service.provider.default = Script(tokens=(THERE,))
    names: dict[str, Any] = {"__name__": "migration"}
    source = "\n".join(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
    exec(compile(source, "docs/migration.md", "exec"), names)
    return SimpleNamespace(**names)


@asynccontextmanager
async def opened(program: SimpleNamespace) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Turns, rollout and client. Each time anew, so that the flags are read now and not 0.2 s later."""
    async with program.opened() as (rollout, client):
        yield program.Turns(rollout.router), rollout, client


async def said(turns: Any, query: str) -> str:
    events = [event async for event in turns.turn("ann", "c7", query)]
    return "".join(event.text for event in events if isinstance(event, ContentDelta))


def asked(service: Service) -> list[Sequence[str]]:
    """What the model was shown of the conversation, call by call."""
    calls = [call.body["messages"] for call in service.provider.ledger]
    return [[message["content"] for message in messages if message["role"] != "system"] for messages in calls]


async def test_a_conversation_goes_over_and_back_and_over_with_all_that_was_said(
    program: SimpleNamespace, service: Service, flags: Path
) -> None:
    counts: dict[str, int] = {}
    everything: list[str] = []
    for query, percentage in (("one", 0.0), ("two", 100.0), ("three", 100.0), ("four", 0.0), ("five", 100.0)):
        write_flag(flags, Flag.PERCENTAGE, percentage)
        write_flag(flags, Flag.USE_ORCHESTRATOR, percentage > 0)
        async with opened(program) as (turns, _, _):
            turns._local.update(counts)
            answer = await said(turns, query)
            counts = dict(turns._local)
        assert (answer == THERE) == (percentage > 0)
        everything += [query, answer]
        if percentage > 0:
            assert asked(service)[-1] == everything[:-1]
    kept = await program.history("ann", "c7")
    assert [message.content for message in kept] == everything
    assert counts == {"c7": 2}


async def test_a_turn_that_fell_back_is_known_there_with_the_next_one(
    program: SimpleNamespace, service: Service, flags: Path
) -> None:
    write_flag(flags, Flag.PERCENTAGE, 100.0)
    service.provider.enqueue(Script(tokens=(THERE,)), Script(status=503))
    async with opened(program) as (turns, _, _):
        assert await said(turns, "one") == THERE
        fell_back = await said(turns, "two")
        assert fell_back == "Locally, after 3 messages."
        assert await said(turns, "three") == THERE
    assert asked(service)[-1] == ["one", THERE, "two", fell_back, "three"]


async def test_a_job_goes_where_its_user_goes_and_only_once(program: SimpleNamespace, flags: Path) -> None:
    job = program.Job("17", "ann", "Sum it up.")
    async with opened(program) as (_, rollout, client):
        assert await program.begin(rollout, client, job) == ""
    write_flag(flags, Flag.PERCENTAGE, 100.0)
    async with opened(program) as (_, rollout, client):
        task = await program.begin(rollout, client, job)
        assert await program.begin(rollout, client, job) == task
        assert await client.tasks.watch(task, user_id="ann").text() == THERE


async def test_without_flags_a_conversation_goes_on_where_it_is(
    program: SimpleNamespace, service: Service, flags: Path
) -> None:
    write_flag(flags, Flag.PERCENTAGE, 100.0)
    async with opened(program) as (turns, _, client):
        await said(turns, "one")
        assert await program.turn(client, "ann", turns.there("c7"), "two", ()) == THERE
    assert asked(service)[-1] == ["one", THERE, "two"]
