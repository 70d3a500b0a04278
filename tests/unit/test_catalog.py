"""An agent is a file."""

import pytest

from agents.loader import AgentCatalog, CatalogError, parse_agent
from agents.prompt import fit, system_prompt
from agents.turn import Persona
from providers.estimate import estimate_tokens
from state.errors import InvalidRequestError
from state.models import Message
from tests.harness.catalogue import agent_text, shipped
from tools.builtins.source import Builtins
from tools.table.typed import NAMES

GOOD = b"---\nname: poet\naliases: [bard]\ndescription: Rhymes.\nshape: direct\n---\nBe brief.\n"


def test_the_shipped_catalogue_loads_and_knows_each_agent_by_both_names() -> None:
    catalog = shipped()
    for name in catalog.names:
        assert catalog.wanted(name, "agent_type") is catalog.wanted(f"{name}_agent", "agent_type")


def test_the_shipped_agents_name_only_tools_that_there_are() -> None:
    named = {tool for spec in shipped().specs for tool in spec.tools}
    of_the_backend = {tool for tool in named if tool.startswith("described:")}  # it says itself what it has
    assert named - of_the_backend - NAMES - Builtins().names == set()


@pytest.mark.parametrize("asked", ["", "auto"])
def test_whoever_names_nobody_leaves_the_choice_to_us(asked: str) -> None:
    assert shipped().wanted(asked, "agent_type") is None


@pytest.mark.parametrize("field", ["agent_type", "locked_agent"])
def test_an_unknown_agent_is_an_invalid_request(field: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        shipped().wanted("nobody", field)
    assert raised.value.violations[0].field == field


def test_the_version_is_a_digest_of_the_file() -> None:
    assert parse_agent("a.md", GOOD).version == parse_agent("b.md", GOOD).version
    assert parse_agent("a.md", GOOD).version != parse_agent("a.md", GOOD + b"!").version


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "expected"),
        (b"no front matter", "expected"),
        (b"\xff---\n---\n", "expected"),
        (b"text first\n" + GOOD, "front matter must be first"),
        (b"---\n- a\n- b\n---\nx", "mapping"),
        (b"---\nname: [\n---\nx", "not valid YAML"),
        (GOOD.replace(b"name: poet", b"name: Poet!"), "name"),
        (GOOD.replace(b"shape: direct", b"shape: spiral"), "shape"),
        (GOOD.replace(b"Be brief.", b" "), "prompt"),
        (GOOD.replace(b"shape: direct", b"shape: direct\nvolume: 11"), "volume"),
        (GOOD.replace(b"shape: direct", b"shape: direct\ntemperature: 3"), "temperature"),
        (GOOD.replace(b"shape: direct", b"shape: react"), "needs tools"),
        (GOOD.replace(b"shape: direct", b"shape: direct\ntools: [search_web]"), "needs tools"),
        (GOOD.replace(b"shape: direct", b"shape: research\ntools: [a]"), "needs `research`"),
        (GOOD.replace(b"shape: direct", b"shape: direct\nresearch: {rounds: 1}"), "needs `research`"),
        (GOOD.replace(b"shape: direct", b"shape: form\ntools: [a]"), "needs `form`"),
        (
            GOOD.replace(
                b"shape: direct",
                b"shape: form\ntools: [a]\nform: {action: b, fields: [{name: x, description: y}]}",
            ),
            "action b is not in `tools`",
        ),
        (
            GOOD.replace(
                b"shape: direct",
                b"shape: form\ntools: [a]\n"
                b"form: {action: a, fields: [{name: x, description: y, pattern: (}]}",
            ),
            "no regular expression",
        ),
        (
            GOOD.replace(b"shape: direct", b"shape: research\ntools: [a]\nresearch: {web_tools: [b]}"),
            "not in `tools`: b",
        ),
        (
            GOOD.replace(b"shape: direct", b"shape: react\ntools: [a]\npermissions: {b: ask}"),
            "does not have: b",
        ),
        (GOOD.replace(b"shape: direct", b"shape: react\ntools: [a]\npermissions: {a: maybe}"), "permissions"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(content: bytes, word: str) -> None:
    with pytest.raises(CatalogError) as raised:
        parse_agent("poet.md", content)
    assert str(raised.value).startswith("poet.md: ")
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_agents_may_not_share_a_name_or_alias() -> None:
    poet = parse_agent("poet.md", GOOD)
    other = parse_agent("other.md", GOOD.replace(b"name: poet", b"name: other"))
    with pytest.raises(CatalogError, match="bard"):
        AgentCatalog([poet, other], default="poet")


def test_a_catalogue_without_its_default_agent_is_refused() -> None:
    with pytest.raises(CatalogError, match="chat"):
        AgentCatalog([parse_agent("poet.md", GOOD)])


def test_no_agent_may_be_called_what_stands_for_an_open_choice() -> None:
    with pytest.raises(CatalogError, match="'auto'"):
        AgentCatalog([parse_agent("a.md", GOOD.replace(b"bard", b"auto"))], default="poet")


def test_an_empty_persona_adds_nothing_to_the_prompt() -> None:
    assert system_prompt("Be brief.", Persona()) == "Be brief."


def test_the_newest_messages_stay_when_not_all_fit() -> None:
    messages = [Message("user", f"{number} " + "x" * 300) for number in range(20)]
    shown = fit("system", messages[:-1], messages[-1:], 1000)
    assert shown[0] == Message("system", "system")
    assert list(shown[1:]) == messages[-len(shown) + 1 :]
    assert 0 < len(shown) - 1 < 20
    assert sum(estimate_tokens(message.content) for message in shown) <= 750


def test_a_question_too_long_for_the_context_is_shown_all_the_same() -> None:
    question = Message("user", "x" * 100_000)
    assert fit("system", [Message("user", "old")], [question], 1000)[1:] == (question,)


def test_only_who_speaks_with_the_user_reads_along() -> None:
    with pytest.raises(CatalogError, match="reads is for the shapes direct and react"):
        parse_agent("a.md", agent_text("a", shape="edit", reads="document").encode())
