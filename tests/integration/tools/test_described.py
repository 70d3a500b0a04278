"""What a backend describes itself: what is taken of it, and for how long."""

import asyncio
from typing import Any

import pytest

from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import ANN, Told, context, options
from tests.integration.tools.describing import (
    BOB,
    LIMITS,
    SCHEMA,
    described,
    only,
    spec,
)
from tests.unit.gate.manual_time import ManualTime
from tools.base import Tool
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway
from tools.gateway.specs import MOST_TOOLS
from tools.policy import PolicyContext, Verdict, verdict
from tools.table.typed import NAMES


async def test_a_backend_of_the_original_contract_describes_nothing_and_is_not_asked_again(
    backend: FakeToolService, source: Described
) -> None:
    for _ in range(3):
        assert await source.offered(ANN) == []
    assert backend.ledger.calls == []  # UNIMPLEMENTED by the server, before any handler


async def test_without_the_switch_nobody_is_asked(backend: FakeToolService) -> None:
    backend.default("DescribeTools", described(spec()))
    async with ToolGateway(options(backend.address, enabled=False)) as gateway:
        source = Described(gateway, LIMITS)
        assert await source.offered(ANN) == []
        assert (
            await source.call(Tool("count", "", SCHEMA, ""), {"n": 1}, context(), Told())
        ).reason == "TOOL_OFF"
    assert backend.ledger.calls == []


async def test_a_described_tool_is_what_the_hints_say_or_stricter(
    backend: FakeToolService, source: Described
) -> None:
    backend.default("DescribeTools", described(spec()))
    tool = await only(source)
    assert (tool.name, tool.description, tool.parameters) == ("count", "Counts.", SCHEMA)
    assert (tool.operation_type, tool.open_world, tool.read_only) == ("external_api", True, False)
    assert (tool.timeout_seconds, tool.max_result_bytes) == (5.0, 2000)


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        ({"read_only": True}, Verdict.ASK),
        ({"read_only": True, "idempotent": True}, Verdict.ASK),
        ({}, Verdict.ASK),
        ({"read_only": True, "destructive": True}, Verdict.ASK),
        ({"read_only": True, "spends": True}, Verdict.ASK),
        ({"read_only": True, "requires_permission": True}, Verdict.ASK),
    ],
)
async def test_no_hint_makes_a_tool_go_unasked(
    backend: FakeToolService, source: Described, hints: dict[str, Any], told: Verdict
) -> None:
    backend.default("DescribeTools", described(spec(**hints)))
    tool = await only(source)
    assert verdict(tool, PolicyContext()) is told
    assert tool.read_only == (
        hints == {"read_only": True} or "idempotent" in hints or "requires_permission" in hints
    )
    granted = PolicyContext(grants=frozenset({"external_api"}))
    strict = {"destructive", "spends", "requires_permission"} & hints.keys()
    assert verdict(tool, granted) is (Verdict.ASK if strict else Verdict.ALLOW)


@pytest.mark.parametrize(
    ("fields", "seconds", "size"),
    [
        ({"timeout": "2s", "max_result_bytes": 100}, 2.0, 100),
        ({"timeout": "600s", "max_result_bytes": 10_000}, 5.0, 2000),
        ({"timeout": "-3s", "max_result_bytes": -1}, 5.0, 2000),
        ({"timeout": "0.250s"}, 0.25, 2000),
        ({"timeout": "315576000000s"}, 5.0, 2000),
    ],
)
async def test_our_limits_are_defaults_and_caps(
    backend: FakeToolService, source: Described, fields: dict[str, Any], seconds: float, size: int
) -> None:
    backend.default("DescribeTools", described(spec(**fields)))
    tool = await only(source)
    assert (tool.timeout_seconds, tool.max_result_bytes) == (seconds, size)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            spec(name)
            for name in ("search_web", "calculator", "", "a b", "x" * 65, "1st", "na\u00efve", "a.b")
        ),
        spec("bad", input_schema={"type": "string"}),
        spec("bad", input_schema={"type": "object", "properties": {"a": {"$ref": "https://example.org"}}}),
        spec("bad", input_schema={"type": "object", "description": "x" * 40_000}),
        spec("bad", output_schema={"type": "nonsense"}),
        spec("count"),
    ],
    ids=lambda bad: str(bad)[:50],
)
async def test_a_tool_that_cannot_be_used_is_off_and_the_others_are_not(
    backend: FakeToolService, source: Described, bad: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    backend.default("DescribeTools", described(spec(), bad, spec("other")))
    assert [tool.name for tool in await source.offered(ANN)] == ["count", "other"]
    assert [record.message for record in caplog.records] == ["a described tool is off"]


async def test_a_backend_may_describe_so_many_and_no_more(
    backend: FakeToolService, source: Described
) -> None:
    backend.default("DescribeTools", described(*(spec(f"t{n}") for n in range(MOST_TOOLS + 5))))
    assert len(await source.offered(ANN)) == MOST_TOOLS


async def test_no_typed_tool_can_be_replaced(backend: FakeToolService, source: Described) -> None:
    backend.default("DescribeTools", described(*(spec(name) for name in NAMES)))
    assert await source.offered(ANN) == []


async def test_each_user_has_tools_of_their_own_for_as_long_as_the_backend_says(
    backend: FakeToolService, source: Described, time: ManualTime
) -> None:
    backend.script("DescribeTools", described(spec("anns"), ttl="10s"), described(spec("bobs"), ttl="20s"))
    backend.default("DescribeTools", Script({"not_modified": True, "ttl": "10s"}))
    assert [tool.name for tool in await source.offered(ANN)] == ["anns"]
    assert [tool.name for tool in await source.offered(BOB)] == ["bobs"]
    asked = [(seen.request, seen.metadata["x-user-id"]) for seen in backend.ledger.calls]
    assert asked == [({"user_id": "ann"}, "ann"), ({"user_id": "bob"}, "bob")]
    time.advance(9.9)
    await source.offered(ANN)
    assert len(backend.ledger.calls) == 2
    time.advance(0.2)
    assert [tool.name for tool in await source.offered(ANN)] == ["anns"]
    assert [tool.name for tool in await source.offered(BOB)] == ["bobs"]
    assert len(backend.ledger.calls) == 3
    assert backend.ledger.calls[2].request == {"user_id": "ann", "known_revision": "r1"}


async def test_many_at_once_ask_the_backend_once(backend: FakeToolService, source: Described) -> None:
    backend.script("DescribeTools", Script({"tools": [spec()], "revision": "r1"}, hold=True))
    asking = [asyncio.create_task(source.offered(ANN)) for _ in range(10)]
    await backend.ledger.arrived(1)
    backend.release()
    assert {len(tools) for tools in await asyncio.gather(*asking)} == {1}
    assert len(backend.ledger.calls) == 1


async def test_without_a_time_of_its_own_an_answer_is_kept_for_ours(
    backend: FakeToolService, gateway: ToolGateway, time: ManualTime
) -> None:
    backend.default("DescribeTools", described(spec()))
    source = Described(gateway, LIMITS, ttl_seconds=7.0, clock=time.clock)
    for seconds, calls in ((0.0, 1), (6.9, 1), (0.2, 2)):
        time.advance(seconds)
        await source.offered(ANN)
        assert len(backend.ledger.calls) == calls


@pytest.mark.parametrize(
    "fault", [Script(status="UNAVAILABLE"), Script(status="INTERNAL"), Script(garbage=True)]
)
async def test_a_backend_that_cannot_describe_offers_nothing_until_it_can(
    backend: FakeToolService, source: Described, time: ManualTime, fault: Script
) -> None:
    backend.script("DescribeTools", described(spec(), ttl="10s"))
    backend.default("DescribeTools", fault)
    assert len(await source.offered(ANN)) == 1
    time.advance(11)
    assert await source.offered(ANN) == []
    backend.default("DescribeTools", described(spec()))
    assert len(await source.offered(ANN)) == 1
    assert "known_revision" not in backend.ledger.calls[-1].request
