"""What speaks for an agent in the words of a request."""

import pytest

from agents.hints import asks_for_release, plain
from agents.loader import parse_agent
from agents.words import words
from tests.harness.catalogue import agent_text

POET = parse_agent("poet.md", agent_text("poet", routing="{keywords: [a poem, écris moi, rhyme]}").encode())
COOK = parse_agent("cook.md", agent_text("cook", routing="{keywords: [a recipe, a poem of soup]}").encode())


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Straße", "STRASSE"),
        ("é", "e\u0301"),
        ("\uff30\uff4f\uff45\uff4d", "poem"),
        ("don't", "don\u2019t"),
        ("a\u00a0b", "a b"),
        ("\ufb01ne", "fine"),
    ],
)
def test_words_that_read_the_same_are_the_same(text: str, same: str) -> None:
    assert words(text) == words(same) != ()


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Please write me a poem", "poet"),
        ("ÉCRIS-MOI quelque chose", "poet"),
        ("a rhyme", None),
        ("I love a poem", None),
        ("a poem, but not now", None),
        ("a poem of soup", None),
        ("a poem and a recipe", None),
        ("a poem " + "and so on " * 30, None),
        ("", None),
        ("!!!", None),
    ],
)
def test_only_what_is_plain_is_decided(question: str, name: str | None) -> None:
    found = plain(question, [POET, COOK])
    assert (found.name if found else None) == name
    assert plain(question, [COOK, POET]) is found


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("stop", True),
        ("Stop the game, please!", True),
        ("Let's quit this simulation now", True),
        ("back to the normal chat", True),
        ("exit", True),
        ("Stop the enemy fleet at the strait", False),
        ("We end the war with a treaty", False),
        ("Cancel the attack", False),
        ("", False),
    ],
)
def test_a_release_is_asked_for_by_a_message_that_says_nothing_else(question: str, asks: bool) -> None:
    assert asks_for_release(question) is asks
