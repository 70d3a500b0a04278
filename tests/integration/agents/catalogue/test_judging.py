"""Agents that answer in a form: `comparison` and `wargaming`."""

import asyncio
from pathlib import Path

import grpc
import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import agent_named
from tests.harness.configured import with_file
from tests.harness.service import Service, chat_request, collect, text_of
from tests.harness.statuses import error_info
from tests.harness.tooled import rest
from tests.integration.agents.catalogue.playing import Scene, play
from tests.integration.tasks.asking import ended, start

TEXTS = {"text_a": "The cat sat.", "text_b": "A cat was sitting {text_a}.", "criteria": "Brevity."}
JUDGED = '{"winner": "a", "justification": "Shorter.", "confidence": 4}'
GAME = orjson.dumps(
    {
        "turn": 0,
        "date": "1 May",
        "situation": "Two states dispute a strait.",
        "moves": [],
        "tension": 20,
        "options": ["Wait"],
        "question": "",
    }
).decode()


async def judge(service: Service, answer: str, **fields: object) -> list[pb.ChatChunk]:
    service.provider.enqueue(Script(tokens=(answer,)))
    return await service.chat("Which is better?", agent_type="comparison", metadata=TEXTS, **fields)


@pytest.mark.agent("comparison")
async def test_comparison_gives_its_judgement_as_the_model_wrote_it(
    service: Service, backend: FakeToolService
) -> None:
    answer = f"\n{JUDGED} "
    await play(service, backend, Scene("comparison", "Which is better?", answer, fields={"metadata": TEXTS}))
    form = service.provider.ledger[0].body["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("comparison", True)
    assert form["schema"] == agent_named("comparison").response_schema


@pytest.mark.agent("wargaming")
async def test_wargaming_gives_the_state_of_its_game_and_goes_on_from_it(
    service: Service, backend: FakeToolService
) -> None:
    await play(service, backend, Scene("wargaming", "I play A.", GAME))
    service.provider.enqueue(Script(tokens=(GAME,)))
    await service.chat("I wait.", agent_type="wargaming", conversation_id="c1")
    assert GAME in [m["content"] for m in service.provider.ledger[-1].body["messages"]]


async def test_the_texts_stand_in_the_prompt_as_data_with_a_number_that_is_new_each_time(
    service: Service,
) -> None:
    runs = [(await judge(service, JUDGED))[0].run_id for _ in range(2)]
    for call, run_id in zip(service.provider.ledger, runs, strict=True):
        system = call.body["messages"][0]["content"]
        for text in TEXTS.values():
            assert f"[data {run_id} begins]\n{text}\n[data {run_id} ends]" in system
    assert len(set(runs)) == 2


@pytest.mark.parametrize(
    "answer", ["", "a", JUDGED.replace('"a"', '"c"'), f"```json\n{JUDGED}\n```", JUDGED[:-1]]
)
async def test_an_answer_without_a_valid_winner_is_a_failure_and_leaves_the_conversation_as_it_was(
    service: Service, answer: str
) -> None:
    service.provider.enqueue(Script(tokens=(answer,)))
    chunks: list[pb.ChatChunk] = []
    request = chat_request("Which?", agent_type="comparison", metadata=TEXTS, conversation_id="c1")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.StreamChat(request), chunks)
    assert error_info(raised.value).reason == "PROVIDER_BROKEN"
    assert chunks[-1].error.reason == "PROVIDER_BROKEN"
    assert len(service.provider.ledger) == 1
    service.provider.enqueue(Script(tokens=("Hello.",)))
    await service.chat("hello", conversation_id="c1")
    assert len(service.provider.ledger[-1].body["messages"]) == 2


async def test_every_judgement_is_made_anew_and_sees_no_other_one_nor_the_user(service: Service) -> None:
    other = JUDGED.replace('"a"', '"b"')
    persona = pb.UserPersona(political_bias="left", custom_preferences={"favourite": "a"})
    said = [pb.ConversationMessage(role="user", content="I prefer a.")]
    fields = {"conversation_id": "c1", "persona": persona, "conversation_history": said}
    answers = [text_of(await judge(service, answer, **fields)) for answer in (JUDGED, other, JUDGED)]
    assert answers == [JUDGED, other, JUDGED]
    bodies = [call.body for call in service.provider.ledger]
    assert len({call.generation_id for call in service.provider.ledger}) == 3
    for body in bodies:
        assert [m["role"] for m in body["messages"]] == ["system", "user"]
        assert "left" not in str(body)
        assert "prefer" not in str(body)


@pytest.mark.parametrize("left_out", [["criteria"], ["text_a", "text_b"]])
async def test_what_is_missing_is_named_before_a_model_is_called(
    service: Service, left_out: list[str]
) -> None:
    hints = {name: " " if name in left_out else text for name, text in TEXTS.items()}
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat("Which?", agent_type="comparison", metadata=hints)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert all(f"metadata.{name}" in (raised.value.details() or "") for name in left_out)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await start(service, "Which?", agent_type="comparison", context=hints)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert service.provider.ledger == []


async def test_a_task_reads_the_texts_from_its_context(service: Service) -> None:
    service.provider.enqueue(Script(tokens=(JUDGED,)))
    task = await start(service, "Which?", agent_type="comparison", context=TEXTS)
    assert (await ended(service, task.task_id)).result == JUDGED
    assert text_of(await rest(service, task.task_id)) == JUDGED
    assert TEXTS["text_b"] in service.provider.ledger[0].body["messages"][0]["content"]


@pytest.mark.parametrize(
    "answer", [Script(tokens=("a",)), Script(tokens=(JUDGED[:-9],), finish_reason="length")]
)
async def test_a_task_whose_judgement_does_not_fit_fails_at_once_and_is_not_asked_until_one_does(
    service: Service, answer: Script
) -> None:
    service.provider.enqueue(answer, Script(tokens=(JUDGED,)))
    task = await start(service, "Which?", agent_type="comparison", context=TEXTS)
    done = await ended(service, task.task_id)
    assert (done.status, done.attempt, done.deferrals) == ("failed", 1, 0)
    assert (done.error.reason, done.error.retryable) == ("PROVIDER_BROKEN", False)
    assert JUDGED not in done.result
    assert len(service.provider.ledger) == 1


async def test_a_task_whose_judgement_broke_on_its_way_is_tried_again(service: Service) -> None:
    service.provider.enqueue(
        Script(tokens=(JUDGED[:9],), fault=Fault(FaultKind.RESET, after=1)), Script(tokens=(JUDGED,))
    )
    task = await start(service, "Which?", agent_type="comparison", context=TEXTS)
    done = await ended(service, task.task_id)
    assert (done.status, done.attempt, done.result) == ("completed", 2, JUDGED)


async def test_a_task_of_an_agent_that_is_not_fresh_is_asked_again_for_its_form(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("Blue waits.",)), Script(tokens=(GAME,)))
    task = await start(service, "I play A.", agent_type="wargaming")
    done = await ended(service, task.task_id)
    assert (done.status, done.attempt, done.result) == ("completed", 2, GAME)


async def test_judgements_made_at_the_same_time_are_as_many_calls(service: Service) -> None:
    service.provider.enqueue(*(Script(tokens=(JUDGED.replace("4", str(n)),)) for n in range(1, 6)))
    runs = await asyncio.gather(
        *(service.chat("Which?", agent_type="comparison", metadata=TEXTS) for _ in range(5))
    )
    assert sorted(orjson.loads(text_of(run))["confidence"] for run in runs) == [1, 2, 3, 4, 5]
    assert len(service.provider.ledger) == 5


@pytest.mark.parametrize(("size", "allowed"), [(1 << 20, True), ((1 << 20) + 1, False)])
async def test_a_hint_may_be_so_long_and_no_longer(service: Service, size: int, allowed: bool) -> None:
    service.provider.enqueue(Script(tokens=("Hello.",)))
    call = service.chat("hello", metadata={"note": "x" * size})
    if allowed:
        assert text_of(await call) == "Hello."
        return
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert "metadata.note" in (raised.value.details() or "")


JUDGES = """
[providers.one]
kind = "openai"
base_url = "{url}"
[models.able]
provider = "one"
context_tokens = 8192
[models.plain]
provider = "one"
context_tokens = 8192
json_schema = false
[classes]
chat = ["able"]
judge = {judge}
"""


@pytest.mark.parametrize("judge", ['["plain"]', '["able", "plain"]'])
async def test_a_model_that_cannot_be_held_to_a_form_is_told_of_it(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, judge: str
) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(JUDGES.format(url=provider.base_url, judge=judge))
    async with with_file(dsn, provider, file) as service:
        provider.enqueue(Script(tokens=(JUDGED,)))
        chunks = await service.chat("Which?", agent_type="comparison", metadata=TEXTS)
        assert text_of(chunks) == JUDGED
    body = provider.ledger[0].body
    assert "response_format" not in body
    assert '"enum":["a","b","tie"]' in body["messages"][0]["content"]
