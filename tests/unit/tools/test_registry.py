"""Which tools a run is offered."""

from collections.abc import Sequence

import pytest

from state.models import Owner
from tools.base import Arguments, Progress, Tool, ToolContext, ToolOutcome
from tools.registry import ToolRegistry

ANN = Owner("ann")


class Shelf:
    """A source of tools by name; `mine` only for their owner."""

    def __init__(self, *names: str, mine: str = "") -> None:
        self._names = names
        self._mine = mine

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        own = (self._mine,) if self._mine and owner == ANN else ()
        return [Tool(name, "", {"type": "object"}, "class") for name in (*self._names, *own)]

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        return ToolOutcome(True, tool.name)


BUILTIN, BACKEND = (
    Shelf("calculator", "time", "none"),
    Shelf("search_web", "search_documents", "time", mine="diary"),
)
REGISTRY = ToolRegistry({"builtin": BUILTIN, "backend": BACKEND})


@pytest.mark.parametrize(
    ("wanted", "allowed", "names"),
    [
        (["calculator", "search_web"], [], ["calculator", "search_web"]),
        (["search_web", "calculator"], [], ["search_web", "calculator"]),
        ([], [], []),
        ([], ["calculator"], []),
        (["calculator", "nothing"], [], ["calculator"]),
        (["search_*"], [], ["search_web", "search_documents"]),
        (["backend:*"], [], ["search_web", "search_documents", "diary"]),
        (["backend:search_*", "search_web"], [], ["search_web", "search_documents"]),
        (["b*:calculator"], [], ["calculator"]),
        (["backend:calculator"], [], []),
        (["*"], [], ["calculator", "time", "none", "search_web", "search_documents", "diary"]),
        (["*"], ["none"], []),
        (["*"], ["none", "time"], ["time", "none"]),
        (["*"], ["time", "diary", "nothing"], ["time", "diary"]),
        (["calculator"], ["time"], []),
        (["*"], ["search_*"], []),
    ],
)
async def test_a_run_is_offered_what_its_agent_lists_and_its_caller_allows(
    wanted: list[str], allowed: list[str], names: list[str]
) -> None:
    assert list(await REGISTRY.offered(ANN, wanted, allowed)) == names


async def test_of_two_tools_with_one_name_the_first_sources_counts() -> None:
    offers = await REGISTRY.offered(ANN, ["time"])
    assert offers["time"].source is BUILTIN


async def test_a_source_may_offer_other_tools_to_other_users() -> None:
    assert "diary" not in await REGISTRY.offered(Owner("bob"), ["*"])
