"""Lines and titles of what others wrote."""

import pytest

from agents.legible import line
from agents.titles import MOST_CHARACTERS, plain_title, title_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\n\tb\x00\x1b[31m c", "a b[31m c"),
        ("safe\u202egnp.exe\u2066", "safegnp.exe"),
        ("a\u200bb \U000e0041\ud800", "ab"),
        ("\U0001f469\u200d\U0001f680 flies", "\U0001f469\u200d\U0001f680 flies"),
        ("one two three", "one two…"),
        ("onetwothreefour", "onetwothr…"),
        ("three more", "three more"),
    ],
)
def test_a_line_is_short_and_holds_only_what_can_be_seen(text: str, expected: str) -> None:
    assert line(text, 10 if "two" in text or "more" in text else 40) == expected


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is 2.5 by 4? I forgot.", "What is 2.5 by 4?"),
        ("Please plan a trip.", "Please plan a trip"),
        ("\n\n## **Trip** to Oslo\nDays: 3", "Trip** to Oslo"),
        ("雨は降りますか。明日です。", "雨は降りますか。"),
        ("...\n- buy milk", "buy milk"),
        ("!!!", ""),
        ("", ""),
        ("word " * 40, ("word " * 12).strip() + "…"),
    ],
)
def test_a_plain_title_is_the_first_sentence_with_a_word(question: str, title: str) -> None:
    assert plain_title(question) == title
    assert len(plain_title(question)) <= MOST_CHARACTERS


def test_what_a_model_says_is_a_title_in_its_first_line_without_its_quotes() -> None:
    assert title_of("\n  “Swifts and sleep.”\nHere is why") == "Swifts and sleep"
