"""How the embedded model is made to call tools: what it is asked, held to, and told of results."""

from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from providers.base import ModelRequest, ToolSpec
from providers.local.tools import answering, call_of, calling, calls
from state.models import Message, ToolCall
from tools.builtins.source import CALCULATOR, CURRENT_TIME

TOOLS = tuple(ToolSpec(t.name, t.description, t.parameters) for t in (CALCULATOR, CURRENT_TIME))
ASKED = (Message("system", "Be brief."), Message("user", "What is 1 + 1?"))
CALL = ToolCall("c1", "calculator", '{"expression": "1+1"}')
RESULT = (Message("assistant", "", tool_calls=(CALL,)), Message("tool", "2", tool_call_id="c1"))
NEXT = (Message("assistant", "Two."), Message("user", "And 2 + 2?"))


def request(*messages: Message, **fields: Any) -> ModelRequest:
    return ModelRequest(messages or ASKED, tools=fields.pop("tools", TOOLS), **fields)


def fits(schema: Any, answer: object) -> bool:
    return bool(Draft202012Validator(schema).is_valid(answer))


def held_to(*tools: ToolSpec) -> Any:
    form = calling(request(tools=tools)).json_schema
    assert form is not None
    return form.schema


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (request(), True),
        (request(tools=()), False),
        (request(tool_choice="none"), False),
        (request(*ASKED, *RESULT), False),
        (request(*ASKED, *RESULT, tool_choice="required"), True),
        (request(*ASKED, *RESULT, *NEXT), True),
    ],
)
def test_each_question_is_one_call_and_then_an_answer(asked: ModelRequest, wanted: bool) -> None:
    assert calls(asked) is wanted


def test_a_call_is_the_likeliest_unless_the_caller_wants_another_temperature() -> None:
    assert calling(request()).temperature == 0
    assert calling(request(temperature=0.5)).temperature == 0.5
    assert answering(request()).temperature is None


def test_a_call_is_one_of_the_tools_with_all_that_it_must_have_and_nothing_else() -> None:
    schema = held_to(*TOOLS)
    assert fits(schema, {"tool": "calculator", "arguments": {"expression": "1 + 1"}})
    assert fits(schema, {"tool": "current_time", "arguments": {}})
    for wrong in (
        {"tool": "calculator", "arguments": {}},
        {"tool": "current_time", "arguments": {"time_zone": "UTC"}},
        {"tool": "other", "arguments": {}},
        {"tool": "calculator", "arguments": {"expression": "1" * 101}},
        {"answer": "2"},
    ):
        assert not fits(schema, wrong)


def test_values_that_a_tool_names_are_the_only_ones_and_lists_end() -> None:
    kinds = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    inner = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {}}, "required": ["x"]}
    tool = ToolSpec(
        "t", "", {"type": "object", "properties": {"k": kinds, "o": inner}, "required": ["k", "o"]}
    )
    schema = held_to(tool)
    assert fits(schema, {"tool": "t", "arguments": {"k": ["a"] * 8, "o": {"x": 1}}})
    assert not fits(schema, {"tool": "t", "arguments": {"k": ["a"] * 9, "o": {"x": 1}}})
    assert not fits(schema, {"tool": "t", "arguments": {"k": ["c"], "o": {"x": 1}}})
    assert not fits(schema, {"tool": "t", "arguments": {"k": [], "o": {"x": 1, "y": 2}}})


def test_the_tools_stand_behind_the_agents_prompt_and_nowhere_else() -> None:
    asked = calling(request())
    system, question = asked.messages
    assert system.content.startswith("Be brief.\n\n")
    assert "- calculator: Calculate exactly." in system.content
    assert question == ASKED[1]
    assert asked.tools == ()
    assert [m.role for m in calling(request(ASKED[1])).messages] == ["system", "user"]


def test_what_a_tool_has_brought_becomes_part_of_its_question() -> None:
    asked = answering(request(*ASKED, *RESULT))
    system, question = asked.messages
    assert system.content == "Be brief."
    assert question.content.startswith("What is 1 + 1?\n\nThe tool calculator has brought:\n2\n\n")
    assert (asked.tools, asked.json_schema) == ((), None)
    later = calling(request(*ASKED, *RESULT, *NEXT)).messages
    assert [m.role for m in later] == ["system", "user", "assistant", "user"]
    assert later[-1].content == "And 2 + 2?"


def test_a_request_without_tools_is_as_it_was() -> None:
    asked = request(tools=())
    assert answering(asked) == asked


@pytest.mark.parametrize("text", ["", "{", '{"tool": 3}', "[]", '{"tool": "calculator", "argum'])
def test_a_call_that_was_cut_is_none(text: str) -> None:
    assert call_of(text) is None


def test_a_whole_call_has_an_id_of_its_own() -> None:
    one, other = (call_of('{"tool": "t", "arguments": {"a": 1}}') for _ in range(2))
    assert one is not None
    assert other is not None
    assert (one.name, orjson.loads(one.arguments)) == ("t", {"a": 1})
    assert one.call_id != other.call_id
