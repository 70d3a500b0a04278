"""What speaks for an agent in the words of a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.hints import asks_for_release, plain
from agents.loader import parse_agent
from agents.spec import LIKE_AN_EXAMPLE
from agents.words import telling, words
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


_WORDS = st.sampled_from(["a", "what", "is", "the", "poem", "rhyme", "soup", "recipe", "of"])
_TEXTS = st.lists(_WORDS, min_size=1, max_size=6).map(tuple)


@given(st.lists(_TEXTS, max_size=3), st.lists(_TEXTS.map(frozenset), max_size=3), _TEXTS)
def test_without_a_telling_word_a_text_holds_no_phrase_and_is_like_no_sentence(
    phrases: list[tuple[str, ...]], sentences: list[frozenset[str]], text: tuple[str, ...]
) -> None:
    if telling(phrases, sentences, LIKE_AN_EXAMPLE).isdisjoint(text):
        said = frozenset(text)
        assert not any(said.issuperset(phrase) for phrase in phrases)
        assert all(2 * len(said & s) < LIKE_AN_EXAMPLE * (len(said) + len(s)) for s in sentences)


def test_of_a_sentence_its_most_common_words_are_left_out() -> None:
    assert telling([("a", "poem")], [frozenset(words("what is the best rhyme"))], 0.75) == {
        "poem",
        "rhyme",
        "best",
        "what",
    }
