"""What a tool is told of the run that calls it."""

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from agents.calls import Call, ToolUser
from agents.events import AgentEvent
from agents.hands import Hands
from state.models import Attempt, ConversationId, Owner
from state.postgres.database import Database
from tests.harness.questions import Desk
from tests.harness.runs import ANN
from tools.base import Arguments, Offer, Progress, Tool, ToolContext, ToolOutcome


class Somewhere:
    """Where tools come from that only want to know who calls them."""

    def __init__(self) -> None:
        self.told: list[ToolContext] = []

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        return []

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        self.told.append(context)
        return ToolOutcome(ok=True, text="done")


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Desk]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield Desk.on(database)


@pytest.mark.parametrize("read_only", [True, False])
async def test_a_tool_is_told_which_call_of_which_attempt_it_is(desk: Desk, read_only: bool) -> None:
    _, first = await desk.begun()
    await desk.runs.requeue(first)
    second = await desk.claimed()
    somewhere, events = Somewhere(), list[AgentEvent]()

    async def attempt() -> Attempt:
        return second

    user = ToolUser(ANN, second.run_id, ConversationId("c1"), attempt, "do it")
    tool = Tool("look", "Looks.", {"type": "object"}, "looking", read_only=read_only)
    hands = Hands(user, {"look": Offer(tool, somewhere)}, desk.effects, events.append, lambda: None)
    call = Call(id=uuid4().hex, name="look", arguments="{}", state="allowed", digest="0" * 64)
    made = await hands.call(call)
    assert (made["state"], made["text"], made["made"]) == ("over", "done", True)
    [told] = somewhere.told
    assert (told.attempt, told.tool_call_id, told.run_id) == (2, call["id"], second.run_id)
