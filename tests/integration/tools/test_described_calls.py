"""Calls of tools that a backend describes itself."""

import asyncio
from typing import Any

import pytest

from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import ANN, Told, context
from tests.integration.tools.describing import (
    BOB,
    DATA_SCHEMA,
    Count,
    described,
    only,
    output,
    spec,
)
from tools.base import ToolOutcome
from tools.gateway.described import Described


async def test_a_call_says_who_asks_and_what_it_rests_on(backend: FakeToolService, count: Count) -> None:
    backend.default("InvokeTool", Script(events=(output(text="one"),)))
    outcome = await count(permission_id="p" * 32, attempt=3, tool_call_id="t" * 32)
    assert outcome == ToolOutcome(True, "one", "done")
    (seen,) = backend.ledger.of("InvokeTool")
    assert {k: v for k, v in seen.request.items() if k != "run_id"} == {
        "tool_call_id": "t" * 32,
        "tool_name": "count",
        "arguments": {"n": 1.0},
        "user_id": "ann",
        "conversation_id": "c7",
        "permission_id": "p" * 32,
        "attempt": 3,
    }
    assert seen.metadata["x-tool-call-id"] == "t" * 32
    assert seen.request["run_id"] == seen.metadata["x-run-id"]
    assert seen.seconds_left == pytest.approx(5.0, rel=0.2)


async def test_a_described_tool_is_called_as_the_runs_user_whatever_the_model_says(
    backend: FakeToolService, count: Count
) -> None:
    names = {name: {"type": "string"} for name in ("user_id", "conversation_id", "x-user-id")}
    schema = {"type": "object", "properties": names}
    backend.default("DescribeTools", described(spec(input_schema=schema)))
    backend.default("InvokeTool", Script(events=(output(text="one"),)))
    said = dict.fromkeys(names, "eve")
    assert (await count(arguments=said)).ok
    (seen,) = backend.ledger.of("InvokeTool")
    assert seen.request["arguments"] == said
    assert (seen.request["user_id"], seen.request["conversation_id"]) == ("ann", "c7")
    assert seen.metadata["x-user-id"] == "ann"


async def test_arguments_that_do_not_fit_never_reach_the_backend(
    backend: FakeToolService, count: Count
) -> None:
    backend.default("InvokeTool", Script(events=(output(text="one"),)))
    outcome = await count(arguments={"n": "one"})
    assert outcome.reason == "INVALID_ARGUMENTS"
    assert backend.ledger.of("InvokeTool") == []


async def test_progress_is_passed_on_while_the_tool_works(backend: FakeToolService, count: Count) -> None:
    steps: list[dict[str, Any]] = [{"text": "half", "progress": 0.5}, {"text": "x" * 900}, {"progress": 7.0}]
    events = (*({"progress": step} for step in steps), output(text="done"))
    backend.default("InvokeTool", Script(events=events, hold=True))
    told = Told()
    calling = asyncio.create_task(count(told))
    async with asyncio.timeout(5):
        while len(told.lines) < 3:
            told.changed.clear()
            await told.changed.wait()
    assert told.lines == [("half", 0.5), ("x" * 500, None), ("", 1.0)]
    assert not calling.done()
    backend.release()
    assert (await calling).text == "done"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"text": "t"}, ToolOutcome(True, "t", "done")),
        ({"text": "t", "untrusted": True}, ToolOutcome(True, "t", "done", untrusted=True)),
        ({"data": {"sum": 3}}, ToolOutcome(True, '{"sum":3}', "1 fields")),
        ({"text": "t", "data": {"sum": 3}}, ToolOutcome(True, "t", "1 fields")),
        ({}, ToolOutcome(True, "Done.", "done")),
        (
            {"text": "t", "truncated": True},
            ToolOutcome(True, "t\n[the tool has left something out]", "done", truncated=True),
        ),
        (
            {"text": "no such day", "is_error": True},
            ToolOutcome(False, "no such day", "tool refused", reason="TOOL_REFUSED"),
        ),
        (
            {"text": "no", "is_error": True, "untrusted": True, "data": {"sum": "x"}},
            ToolOutcome(False, "no", "tool refused", untrusted=True, reason="TOOL_REFUSED"),
        ),
    ],
)
async def test_an_output_is_told_as_it_was_meant(
    backend: FakeToolService, count: Count, said: dict[str, Any], wanted: ToolOutcome
) -> None:
    backend.default("DescribeTools", described(spec(read_only=True, output_schema=DATA_SCHEMA)))
    backend.default("InvokeTool", Script(events=(output(**said),)))
    assert await count() == wanted


async def test_what_reaches_the_open_world_is_untrusted_whatever_the_output_says(
    backend: FakeToolService, count: Count
) -> None:
    backend.default("DescribeTools", described(spec(open_world=True)))
    backend.script("InvokeTool", Script(events=(output(text="t"),)), Script(status="NOT_FOUND"))
    assert (await count()).untrusted
    assert (await count()).untrusted


@pytest.mark.parametrize(
    "script",
    [
        Script(),
        Script(events=({"progress": {"text": "half"}},)),
        Script(events=(output(text="one"), output(text="two"))),
        Script(events=(output(text="one"), {"progress": {"text": "late"}})),
        Script(events=(output(text="one"),), garbage=True),
        Script(events=(output(data={"sum": "three"}),)),
        Script(events=(output(data={"sum": 1.5}),)),
    ],
)
async def test_anything_but_one_output_that_fits_is_garbled(
    backend: FakeToolService, count: Count, script: Script
) -> None:
    backend.default("DescribeTools", described(spec(read_only=True, output_schema=DATA_SCHEMA)))
    backend.default("InvokeTool", script)
    outcome = await count()
    assert (outcome.ok, outcome.reason) == (False, "TOOL_GARBLED")


async def test_a_stream_that_is_garbled_is_left_at_the_backend_too(
    backend: FakeToolService, count: Count
) -> None:
    events = (output(text="one"), output(text="two"), output(text="three"))
    backend.default("InvokeTool", Script(events=events, hold=True))
    assert (await count()).reason == "TOOL_GARBLED"
    assert await backend.ledger.ended(2) == "cancelled"


async def test_an_output_above_the_cap_is_cut(backend: FakeToolService, count: Count) -> None:
    backend.default("InvokeTool", Script(events=(output(text="x" * 5000),)))
    outcome = await count()
    assert outcome.truncated
    assert len(outcome.text) <= 2000
    assert "of 5000 bytes]" in outcome.text


@pytest.mark.parametrize(("hints", "calls"), [({}, 1), ({"idempotent": True}, 3), ({"read_only": True}, 3)])
async def test_a_call_is_made_again_only_when_that_changes_nothing_more(
    backend: FakeToolService, count: Count, hints: dict[str, Any], calls: int
) -> None:
    backend.default("DescribeTools", described(spec(**hints)))
    down = Script(status="UNAVAILABLE")
    backend.script("InvokeTool", down, down, Script(events=(output(text="one"),)))
    assert (await count()).ok == (calls == 3)
    assert len(backend.ledger.of("InvokeTool")) == calls


async def test_a_tool_that_is_gone_is_told_so_and_the_backend_asked_what_it_has(
    backend: FakeToolService, count: Count, source: Described
) -> None:
    backend.script("InvokeTool", Script(status="NOT_FOUND", details="no such tool"))
    outcome = await count()
    assert (outcome.reason, outcome.text) == ("NOT_FOUND", "no such tool")
    await source.offered(ANN)
    assert len(backend.ledger.of("DescribeTools")) == 2


async def test_a_tool_of_another_user_cannot_be_called(backend: FakeToolService, source: Described) -> None:
    backend.script("DescribeTools", described(spec("anns")), described(spec("bobs")))
    tool = await only(source)
    outcome = await source.call(tool, {"n": 1}, context(BOB), Told())
    assert outcome.reason == "TOOL_OFF"
    assert backend.ledger.of("InvokeTool") == []


async def test_a_cancelled_call_is_cancelled_at_the_backend_in_its_middle(
    backend: FakeToolService, count: Count
) -> None:
    events = ({"progress": {"text": "half"}}, output(text="done"))
    backend.default("InvokeTool", Script(events=events, hold=True))
    told = Told()
    calling = asyncio.create_task(count(told))
    async with asyncio.timeout(5):
        await told.changed.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await backend.ledger.ended(2) == "cancelled"
