"""A run that comes to a limit ends with something of use, whatever the shape, and says which limit it was."""

from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.priced import PRICED, service_with_file
from tests.harness.service import Service, text_of
from tests.harness.tooled import DONE, decide, pending, rest, tools_at, wish, wishing
from tests.integration.agents.test_editing import OPEN

LOOK = wish("get_weather_data", {"location": "Bonn"})
MORE = wishing(LOOK, text="More.")
LAST = Script(tokens=("It is sunny; ", "tomorrow is missing."))
STOPPED = "I had to stop here: the run came to its limit of "


async def weather(service: Service, **limits: object) -> list[pb.ChatChunk]:
    return await service.chat("weather?", agent_type="weather", limits=pb.RunLimits(**limits))  # type: ignore[arg-type]


def limit_of(chunks: list[pb.ChatChunk]) -> str:
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert text_of(chunks) == chunks[-1].complete.final_text
    return chunks[-1].metadata["limit"]


def without_tools(service: Service, call: int) -> bool:
    """Whether the model was told in this call, from 1, that it is the last and that no tool can be used."""
    body = service.provider.ledger[call - 1].body
    told = "This is your last answer" in body["messages"][0]["content"]
    assert told == (body.get("tool_choice") == "none")
    return told


@pytest.mark.parametrize(
    ("limits", "name", "calls"),
    [
        ({"max_steps": 3}, "max_steps", 3),
        ({"max_tool_calls": 1}, "max_tool_calls", 3),
        ({"max_output_tokens": 700}, "max_output_tokens", 2),
        ({"max_total_tokens": 2500}, "max_total_tokens", 2),
    ],
)
async def test_what_a_limit_leaves_last_is_for_an_answer_without_tools(
    service: Service, limits: dict[str, int], name: str, calls: int
) -> None:
    usage = ScriptedUsage(900, 200)
    more = Script(tokens=("More.",), tool_calls=(LOOK,), usage=usage)
    service.provider.enqueue(*[more] * (calls - 1), LAST)
    chunks = await weather(service, **limits)
    assert limit_of(chunks) == name
    assert text_of(chunks) == "More.\n\n" * (calls - 1) + "It is sunny; tomorrow is missing."
    assert [without_tools(service, n) for n in range(1, calls + 1)] == [False] * (calls - 1) + [True]


async def test_time_that_is_nearly_over_is_for_the_last_answer(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", Answer(delay=1.7))
    service.provider.enqueue(MORE, LAST)
    chunks = await weather(service, max_duration=Duration(seconds=2))
    assert limit_of(chunks) == "max_duration"
    assert text_of(chunks) == "More.\n\nIt is sunny; tomorrow is missing."


async def test_money_for_one_more_answer_is_for_the_last(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, tmp_path: Path
) -> None:
    priced = PRICED + 'fast = ["m"]\n'
    more = Script(tokens=("More.",), tool_calls=(LOOK,), usage=ScriptedUsage(1000, 100))  # 2000 micros
    groups = {"tools": tools_at(backend), "use_grpc_tool_service": True}
    async with service_with_file(dsn, provider, tmp_path, priced, **groups) as service:  # type: ignore[arg-type]
        provider.enqueue(more, LAST)
        chunks = await weather(service, max_cost_micros=5999)
        assert limit_of(chunks) == "max_cost_micros"
        assert without_tools(service, 2)
        assert chunks[-1].usage.cost_micros <= 5999


async def test_a_model_that_still_wishes_for_tools_gets_none_and_the_finds_are_told(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", Answer(answer={"location": "Bonn", "current_conditions": "sun"}))
    service.provider.default = wishing(LOOK)
    chunks = await weather(service, max_steps=2)
    assert limit_of(chunks) == "max_steps"
    assert text_of(chunks) == f"{STOPPED}steps. Until then:\n- get_weather_data was asked for"
    assert len(backend.ledger.calls) == 1


async def test_the_finds_are_told_by_their_titles_in_one_line_each(
    service: Service, backend: FakeToolService
) -> None:
    page = {"url": "https://a.org/rain", "title": "Rain\n- buy \u202ethis", "snippet": "It rains."}
    backend.default("SearchWeb", Answer(answer={"results": [page]}))
    service.provider.default = wishing(wish("search_web", {"query": "rain"}))
    chunks = await service.chat("rain?", agent_type="fact_checking", limits=pb.RunLimits(max_steps=2))
    assert text_of(chunks) == f"{STOPPED}steps. Until then:\n- Rain - buy this (https://a.org/rain)"


async def test_without_a_step_left_nothing_more_is_asked_and_the_sentence_is_remembered(
    service: Service,
) -> None:
    text = f"{STOPPED}tokens. Nothing was found or done until then."
    chunks = await service.chat(conversation_id="c1", limits=pb.RunLimits(max_total_tokens=10))
    assert (limit_of(chunks), text_of(chunks)) == ("max_total_tokens", text)
    assert service.provider.ledger == []
    await service.chat("and now?", conversation_id="c1")
    assert [m["content"] for m in service.provider.ledger[0].body["messages"][1:]] == [
        "hello",
        text,
        "and now?",
    ]


async def test_a_form_says_what_is_still_missing(shapes: Service) -> None:
    chunks = await shapes.chat("buy milk", agent_type="adder", limits=pb.RunLimits(max_total_tokens=10))
    assert limit_of(chunks) == "max_total_tokens"
    assert text_of(chunks).startswith(f"{STOPPED}tokens. This is still needed:\n- text: What is to be done\n")


async def test_a_form_whose_words_are_cut_says_whether_its_action_was_done(
    shapes: Service, backend: FakeToolService
) -> None:
    values = '{"values": {"text": "buy milk", "kind": "todo", "tags": null}, "question": ""}'
    shapes.provider.enqueue(Script(tokens=(values,)), DONE)
    chunks = await shapes.chat("todo: buy milk", agent_type="adder", limits=pb.RunLimits(max_steps=1))
    await shapes.run_is(chunks[0].run_id, "waiting_for_permission")
    [permission] = await pending(shapes)
    await decide(shapes, permission)
    log = await rest(shapes, chunks[0].run_id)
    assert log[-1].metadata["limit"] == "max_steps"
    assert text_of(log).endswith(f"{STOPPED}steps. What is shown above was done.")
    assert len(backend.ledger.done) == 1


async def test_edits_that_a_limit_has_cut_are_not_proposed_and_this_is_said(shapes: Service) -> None:
    chunks = await shapes.chat(
        "mend it", agent_type="editor", active_editor=OPEN, limits=pb.RunLimits(max_total_tokens=10)
    )
    assert limit_of(chunks) == "max_total_tokens"
    assert text_of(chunks).startswith(f"{STOPPED}tokens. No edits are proposed and nothing is changed")
    assert not any(c.HasField("editor_operations") for c in chunks)
