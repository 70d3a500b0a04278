"""An answer that has to be JSON is that, whole and of its form, or it is a failure."""

import pytest

from agents.json_answer import check_answer
from agents.loader import CatalogError, parse_agent
from providers.openai_compatible.strict import fits_strict
from state.errors import ProviderBrokenError, Reason
from tests.harness.catalogue import agent_named

GOOD = '{"winner": "a", "justification": "It is shorter.", "confidence": 4}'
HEAD = "---\nname: judge\ndescription: Judges.\nshape: direct\n"
SCHEMA = agent_named("comparison").response_schema or {}


@pytest.mark.parametrize("text", [GOOD, f"\n  {GOOD}\n", GOOD.replace('"a"', '"tie"')])
def test_an_answer_of_the_form_is_taken_as_it_is(text: str) -> None:
    check_answer(text, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        f"```json\n{GOOD}\n```",
        f"Here it is: {GOOD}",
        f"{GOOD} {GOOD}",
        GOOD[:-1],
        GOOD.replace("'", '"').replace('"a"', '"c"'),
        GOOD.replace('"a"', '"A"'),
        GOOD.replace('"a"', "null"),
        GOOD.replace('"winner": "a", ', ""),
        GOOD.replace('"winner": "a"', '"winner": "a", "winner": "b"'),
        GOOD.replace("4", "0"),
        GOOD.replace("4", "6"),
        GOOD.replace("4", "4.5"),
        GOOD.replace("4", '"4"'),
        GOOD.replace("4", "true"),
        GOOD.replace("4", "NaN"),
        GOOD.replace("4", "4, "),
        GOOD.replace("4}", '4, "note": "x"}'),
        GOOD.replace("It", "\\ud800"),
        f"[{GOOD}]",
        "[" * 100_000,
        GOOD.replace("It", "x" * (256 * 1024)),
    ],
    ids=lambda text: text[:40],
)
def test_any_other_answer_is_a_failure_that_does_not_quote_it(text: str) -> None:
    with pytest.raises(ProviderBrokenError) as raised:
        check_answer(text, SCHEMA)
    assert raised.value.reason is Reason.PROVIDER_BROKEN
    assert "winner" not in raised.value.message


def test_the_form_of_a_judgement_is_one_that_a_provider_can_hold_its_model_to() -> None:
    assert fits_strict(SCHEMA)


@pytest.mark.parametrize(
    ("front", "prompt", "word"),
    [
        ("response_schema: {type: array}\n", "Judge.", "not that of an object"),
        ("response_schema: {type: nonsense}\n", "Judge.", "response_schema"),
        ("response_schema: {properties: {a: {pattern: x}}}\n", "Judge.", "cannot be checked"),
        ("response_schema: {$ref: 'https://example.org'}\n", "Judge.", "refers elsewhere"),
        ("variables: [text]\n", "Judge.", "in the prompt: text"),
        ("", "Judge {text}.", "in the prompt: text"),
        ("variables: [Text]\n", "Judge {Text}.", "variables"),
    ],
)
def test_a_file_whose_form_or_variables_cannot_be_used_is_refused(front: str, prompt: str, word: str) -> None:
    with pytest.raises(CatalogError, match=r"^judge\.md: ") as raised:
        parse_agent("judge.md", f"{HEAD}{front}---\n{prompt}".encode())
    assert word in str(raised.value)


@pytest.mark.parametrize("field", ["fresh: true", "response_schema: {type: object}"])
def test_an_agent_with_tools_has_no_form_and_is_not_fresh(field: str) -> None:
    content = HEAD.replace("direct", "react") + f"tools: [search_web]\n{field}\n---\nJudge."
    with pytest.raises(CatalogError, match="for the shape direct"):
        parse_agent("judge.md", content.encode())
