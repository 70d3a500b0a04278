"""The catalogue that came with us: a game that keeps its conversation, a judge that needs its texts."""

import orjson
import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import running_service
from tests.integration.agents.catalogue.test_judging import GAME, JUDGED, TEXTS
from tests.integration.routing.asking import says, who

ASKED = "Which of these two texts is clearer?"


async def test_a_game_keeps_the_conversation_until_the_person_ends_it(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider) as service:
        provider.enqueue(Script(tokens=(GAME,)))
        begun = await service.chat("Start a wargame: energy crisis in 2031", conversation_id="c1")
        assert who(begun) == ("wargaming", "keywords")
        lock = begun[-1].metadata["locked_agent"]
        assert lock == "wargaming"
        provider.enqueue(Script(tokens=(GAME,)))
        move = await service.chat("I close the canal.", conversation_id="c1", locked_agent=lock)
        assert who(move) == ("wargaming", "locked")
        over = await service.chat("Stop the game.", conversation_id="c1", locked_agent=lock)
        assert (who(over), over[-1].metadata["locked_agent"]) == (("chat", "default"), "")


@pytest.mark.parametrize("classifies", [False, True])
async def test_who_brings_no_texts_is_not_given_to_the_judge(
    dsn: str, provider: ScriptedProvider, classifies: bool
) -> None:
    async with running_service(dsn, provider, routing=classifies) as service:
        if classifies:
            provider.enqueue(says("chat"))
        without = await service.chat(ASKED)
        assert who(without)[0] == "chat"
        provider.enqueue(Script(tokens=(JUDGED,)))
        brought = await service.chat(ASKED, metadata=TEXTS)
        assert who(brought) == ("comparison", "keywords")
    if classifies:
        [form] = [b["response_format"] for b in (c.body for c in provider.ledger[:1])]
        assert "comparison" not in orjson.dumps(form).decode()
