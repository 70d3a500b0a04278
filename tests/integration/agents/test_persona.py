"""Whoever answers knows how the user wants to be answered, and when it is where they live."""

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import DONE, decide, pending, rest, told, wish, wishing
from tests.integration.agents.test_editing import OPEN, proposing
from tests.integration.agents.test_forms import reads
from tests.integration.agents.test_research import HIT, gaps

PERSONA = pb.UserPersona(
    ai_name="Iris", persona_style="terse", political_bias="neutral", timezone="Asia/Tokyo",
    custom_preferences={"units": "metric"},
)  # fmt: skip
SAYS = (
    "Your name: Iris",
    "Style: terse",
    "Political leaning: neutral",
    "time zone: Asia/Tokyo",
    "units: metric",
)


def all_were_told(service: Service, calls: int) -> None:
    """Every call of a model said how the user wants to be answered."""
    assert len(service.provider.ledger) == calls
    for call in service.provider.ledger:
        system = call.body["messages"][0]["content"]
        assert [line for line in SAYS if line not in system] == []


@pytest.mark.parametrize(
    ("agent", "scripts"),
    [
        ("chat", (DONE,)),
        ("researcher", (gaps(), Script(tokens=("Yes [1].",)))),
        ("editor", (Script(tokens=("{}",)), proposing())),
        ("adder", (reads("What?"),)),
    ],
)
async def test_the_persona_is_told_in_every_call_of_every_shape(
    shapes: Service, backend: FakeToolService, agent: str, scripts: tuple[Script, ...]
) -> None:
    backend.default("SearchDocuments", Answer(answer={"results": [HIT], "total_count": 1}))
    shapes.provider.enqueue(*scripts)
    await shapes.chat("it", agent_type=agent, persona=PERSONA, active_editor=OPEN)
    all_were_told(shapes, len(scripts))


async def test_it_is_told_when_a_form_says_what_was_done(shapes: Service) -> None:
    shapes.provider.enqueue(reads(text="buy milk", kind="todo"), DONE)
    chunks = await shapes.chat("todo: buy milk", agent_type="adder", persona=PERSONA)
    await shapes.run_is(chunks[0].run_id, "waiting_for_permission")
    [permission] = await pending(shapes)
    await decide(shapes, permission)
    await rest(shapes, chunks[0].run_id)
    all_were_told(shapes, 2)


async def test_it_is_told_in_every_step_of_an_agent_with_tools(service: Service) -> None:
    service.provider.enqueue(wishing(wish("current_time")), DONE)
    await service.chat("what time is it?", agent_type="weather", persona=PERSONA)
    all_were_told(service, 2)


@pytest.mark.parametrize(
    ("lives", "asks", "offset"),
    [
        ("Asia/Tokyo", None, "UTC+0900"),
        ("Asia/Tokyo", "Asia/Kolkata", "UTC+0530"),
        ("", None, "UTC+0000"),
        ("Mars/Olympus", None, "UTC+0000"),
    ],
)
async def test_the_time_is_told_as_it_is_where_the_user_lives(
    service: Service, lives: str, asks: str | None, offset: str
) -> None:
    service.provider.enqueue(wishing(wish("current_time", {"time_zone": asks} if asks else {})), DONE)
    persona = pb.UserPersona(timezone=lives)
    await service.chat("what time is it?", agent_type="weather", persona=persona)
    assert f"({offset})" in told(service.provider, 2)[0]
