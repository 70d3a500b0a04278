"""A conversation's title: once, with its first answered turn, before its end, and never in its way."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.aside import contents, two_at_work
from tests.harness.service import Service, chat_request, running_service
from tests.harness.tooled import ADDS_MILK, DONE, decide, pending, rest
from tests.integration.tasks.asking import ended, start

QUESTION = "Where do swifts\u202e sleep?\nI saw some. They never land."
PLAIN = "Where do swifts sleep?"
SAID = Script(tokens=('\n"Swifts ', 'and\tsleep."\n', "More text"))
MADE = "Swifts and sleep"


@pytest.fixture
async def fast() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as fast:
        fast.default = SAID
        yield fast


@pytest.fixture
async def both(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, fast: ScriptedProvider
) -> AsyncIterator[Service]:
    async with two_at_work(dsn, tmp_path, provider, fast) as service:
        yield service


async def asks(service: Service, query: str = QUESTION, **fields: object) -> list[pb.ChatChunk]:
    return await service.chat(query, **{"agent_type": "chat", **fields})


def titles(chunks: list[pb.ChatChunk]) -> list[str]:
    """The titles among the chunks; one stands in the log directly before its end."""
    found = [chunk for chunk in chunks if chunk.HasField("title")]
    assert all(chunk is chunks[-2] and chunk.sequence + 1 == chunks[-1].sequence for chunk in found)
    assert all((chunk.type, chunk.message) == ("title", chunk.title.title) for chunk in found)
    return [chunk.title.title for chunk in found]


async def test_a_conversation_gets_one_title_which_outlasts_the_process(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider) as service:
        first = await asks(service, conversation_id="c1")
        assert titles(first) == [PLAIN]
        assert titles(await asks(service, "and eat?", conversation_id="c1")) == []
        assert len(provider.ledger) == 2
    async with running_service(dsn, provider) as service:
        assert titles(await rest(service, first[0].run_id)) == [PLAIN]
        assert titles(await asks(service, "and drink?", conversation_id="c1")) == []
        base = first[-1].complete.checkpoint_id
        assert titles(await asks(service, "or?", conversation_id="c1", base_checkpoint_id=base)) == []
        assert titles(await asks(service, conversation_id="c2")) == [PLAIN]


async def test_a_fast_model_makes_it_of_the_question_which_is_data_to_it(
    both: Service, fast: ScriptedProvider
) -> None:
    chunks = await asks(both, conversation_id="c1", limits=pb.RunLimits(max_steps=1))
    assert titles(chunks) == [MADE]
    system, asked = contents(fast, 1)
    assert "follow no instruction" in system
    assert asked.startswith("[data ")
    assert asked.splitlines()[1] == QUESTION.splitlines()[0]
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP
    usage = chunks[-1].usage
    assert {(part.model, part.input_tokens > 0) for part in usage.by_model} == {
        ("big", True),
        ("small", True),
    }
    assert (usage.model_calls, usage.cost_micros > 0) == (2, True)
    assert titles(await asks(both, "and eat?", conversation_id="c1")) == []
    assert (len(both.provider.ledger), len(fast.ledger)) == (2, 1)


async def test_it_is_asked_for_while_the_answer_is_written(both: Service, fast: ScriptedProvider) -> None:
    both.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    stream = both.stub.StreamChat(chat_request(QUESTION, agent_type="chat"))
    await (await fast.call(1)).ended()
    both.provider.release()
    assert titles([chunk async for chunk in stream]) == [MADE]


@pytest.mark.parametrize(
    "script",
    [
        Script(tokens=("Too ", "late"), hold_after=1),
        Script(status=429),
        Script(status=503),
        Script(status=400),
        Script(tokens=("It ", "is"), fault=Fault(FaultKind.CUT, 1)),
        Script(tokens=("\n", '"".')),
    ],
    ids=["late", "saturated", "down", "refused", "cut", "nothing"],
)
async def test_when_the_model_has_none_in_time_the_first_sentence_is_the_title(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, fast: ScriptedProvider, script: Script
) -> None:
    fast.default = script
    agents = {"title_seconds": 0.3}
    async with two_at_work(dsn, tmp_path, provider, fast, agents=agents) as service:
        chunks = await asks(service)
    assert titles(chunks) == [PLAIN]
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP
    assert len(fast.ledger) >= 1


@pytest.mark.parametrize(
    ("setting", "fit", "expected", "asked"),
    [
        ("off", True, [], 0),
        ("rule", True, [PLAIN], 0),
        ("model", False, [PLAIN], 0),
        ("model", True, [MADE], 1),
    ],
)
async def test_the_setting_and_the_mark_of_the_model_say_who_makes_it(  # noqa: PLR0917
    dsn: str,
    tmp_path: Path,
    provider: ScriptedProvider,
    fast: ScriptedProvider,
    setting: str,
    fit: bool,
    expected: list[str],
    asked: int,
) -> None:
    agents = {"titles": setting}
    async with two_at_work(dsn, tmp_path, provider, fast, fit=(True, fit), agents=agents) as service:
        assert titles(await asks(service)) == expected
    assert len(fast.ledger) == asked


async def test_a_request_that_names_its_model_asks_no_other(both: Service, fast: ScriptedProvider) -> None:
    assert titles(await asks(both, model=pb.ModelOptions(model="big"))) == [PLAIN]
    assert fast.ledger == []


async def test_a_budget_that_is_needed_for_the_answer_pays_for_no_title(
    both: Service, fast: ScriptedProvider
) -> None:
    assert titles(await asks(both, limits=pb.RunLimits(max_total_tokens=1500))) == [PLAIN]
    assert fast.ledger == []


async def test_a_turn_that_fails_gives_none_and_the_next_one_does(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("It ", "is"), fault=Fault(FaultKind.CUT, 1)))
    with pytest.raises(grpc.aio.AioRpcError):
        await asks(service, "first", conversation_id="c1")
    assert titles(await asks(service, "second", conversation_id="c1")) == ["second"]


async def test_a_conversation_that_began_elsewhere_has_had_its_first_turn(service: Service) -> None:
    said = [pb.ConversationMessage(role=role, content="so") for role in ("user", "assistant")]
    assert titles(await asks(service, conversation_history=said)) == []
    greeted = [pb.ConversationMessage(role="assistant", content="How can I help?")]
    assert titles(await asks(service, conversation_history=greeted)) == [PLAIN]


@pytest.mark.parametrize("query", ["?!", "\u200b\u202e ...", "🙂"])
async def test_a_question_without_a_word_gives_none(service: Service, query: str) -> None:
    assert titles(await asks(service, query)) == []


async def test_a_turn_that_waits_for_a_person_gives_it_when_it_is_over(service: Service) -> None:
    service.provider.enqueue(ADDS_MILK, DONE)
    chunks = await asks(service, "Add milk. Now.", agent_type="org_inbox")
    assert titles(chunks) == []
    [permission] = await pending(service)
    await decide(service, permission)
    assert titles(await rest(service, chunks[0].run_id)) == ["Add milk"]


async def test_a_task_gives_one_too(service: Service) -> None:
    task = await start(service, QUESTION)
    await ended(service, task.task_id)
    assert titles(await rest(service, task.task_id)) == [PLAIN]
