"""A conversation stays on the path on which it began."""

from pathlib import Path as FilePath

import pytest

from llm_orchestrator_client.rollout.conversations import (
    Conversations,
    ConversationStoreError,
    KeyValueConversations,
    MemoryConversations,
    Path,
)
from llm_orchestrator_client.rollout.flags import Flag
from llm_orchestrator_client.rollout.halt import MemoryHalt
from tests.rollout.rolling import LOCAL, flags_on, request_of, rolled_out
from tests.rollout.scripted_orchestrator import Play, ScriptedOrchestrator, complete, content, status


class KeyValue:
    """A store of the backend's own, which may be down."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.down = False

    async def get(self, key: str) -> str | None:
        self._check()
        return self.values.get(key)

    async def put_if_absent(self, key: str, value: str) -> None:
        self._check()
        self.values.setdefault(key, value)

    def _check(self) -> None:
        if self.down:
            raise ConversationStoreError


def of_the_backend(store: KeyValue) -> Conversations:
    return KeyValueConversations(store.get, store.put_if_absent)


@pytest.fixture(params=["memory", "backend"])
def conversations(request: pytest.FixtureRequest) -> Conversations:
    return MemoryConversations() if request.param == "memory" else of_the_backend(KeyValue())


@pytest.fixture
def talking(orchestrator: ScriptedOrchestrator) -> ScriptedOrchestrator:
    orchestrator.play = Play([status(conversation="named"), content(2), complete(3)])
    return orchestrator


async def test_one_that_began_at_the_orchestrator_stays_there(
    talking: ScriptedOrchestrator, everybody: FilePath, conversations: Conversations
) -> None:
    async with rolled_out(talking.address, everybody, conversations=conversations) as world:
        await world.ask(request_of(conversation_id="c1"))
        world.set(Flag.PERCENTAGE, 0)
        assert (await world.ask(request_of(conversation_id="c1"))).text == "remote"
        assert (await world.ask(request_of(conversation_id="c2"))).text == LOCAL
        assert (await world.ask(request_of("bob", conversation_id="c1"))).text == LOCAL
        decided = world.value("llm_rollout_decisions_total", path="orchestrator", reason="conversation")
        assert decided == 1


async def test_one_that_began_locally_stays_there(
    talking: ScriptedOrchestrator, tmp_path: FilePath, conversations: Conversations
) -> None:
    file = flags_on(tmp_path / "flags.json", 0)
    async with rolled_out(talking.address, file, conversations=conversations) as world:
        await world.ask(request_of(conversation_id="c1"))
        world.set(Flag.PERCENTAGE, 100)
        assert (await world.ask(request_of(conversation_id="c1"))).text == LOCAL
        assert (await world.ask(request_of(conversation_id="c2"))).text == "remote"


async def test_one_that_the_orchestrator_named_is_known_by_that_name(
    talking: ScriptedOrchestrator, everybody: FilePath
) -> None:
    async with rolled_out(talking.address, everybody) as world:
        await world.ask()
        world.set(Flag.PERCENTAGE, 0)
        assert (await world.ask(request_of(conversation_id="named"))).text == "remote"


async def test_the_kill_switch_a_denial_and_a_halt_go_before_it_and_leave_it_where_it_was(
    talking: ScriptedOrchestrator, everybody: FilePath
) -> None:
    halt = MemoryHalt()
    async with rolled_out(talking.address, everybody, halt=halt) as world:
        turn = request_of(conversation_id="c1")
        assert (await world.ask(turn)).text == "remote"
        for flag, value, after in ((Flag.USE_ORCHESTRATOR, False, True), (Flag.DENIED, "ann", "")):
            world.set(flag, value)
            assert (await world.ask(turn)).text == LOCAL
            world.set(flag, after)
            assert (await world.ask(turn)).text == "remote"
        halt.stop("errors")
        assert (await world.ask(turn)).text == LOCAL
        world.set(Flag.ALLOWED, "bob,ann")
        assert (await world.ask(turn)).text == "remote"
        world.set(Flag.DENIED, "ann")
        assert (await world.ask(turn)).text == LOCAL


async def test_two_processes_that_share_a_store_agree(
    talking: ScriptedOrchestrator, everybody: FilePath
) -> None:
    store = KeyValue()
    async with (
        rolled_out(talking.address, everybody, conversations=of_the_backend(store)) as one,
        rolled_out(talking.address, everybody, conversations=of_the_backend(store)) as other,
    ):
        await one.ask(request_of(conversation_id="c1"))
        other.set(Flag.PERCENTAGE, 0)
        assert (await other.ask(request_of(conversation_id="c1"))).text == "remote"
        assert not any("ann" in key or "c1" in key for key in store.values)


async def test_a_store_that_is_down_costs_nobody_an_answer(
    talking: ScriptedOrchestrator, everybody: FilePath
) -> None:
    store = KeyValue()
    store.down = True
    async with rolled_out(talking.address, everybody, conversations=of_the_backend(store)) as world:
        assert (await world.ask(request_of(conversation_id="c1"))).text == "remote"


async def test_memory_is_bounded_and_forgets_who_was_not_seen_longest() -> None:
    memory = MemoryConversations(most=2)
    await memory.begin("ann", "a", Path.LOCAL)
    await memory.begin("ann", "b", Path.LOCAL)
    await memory.path_of("ann", "a")
    await memory.begin("ann", "c", Path.LOCAL)
    assert [await memory.path_of("ann", c) for c in "abc"] == [Path.LOCAL, None, Path.LOCAL]
    assert len(memory) == 2
