"""What a caller's own graph says reaches its caller as it comes, and is accounted for."""

import asyncio

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, chat_request, collect, text_of
from tests.harness.tooled import kinds, wish, wishing


async def test_the_tokens_of_two_nodes_come_in_their_order_and_are_accounted_for(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("A", " draft", ".")), Script(tokens=("A", " letter", ".")))
    chunks = await own.chat("write", agent_type="two_nodes")
    assert text_of(chunks) == chunks[-1].complete.final_text == "A draft.\n\nA letter."
    assert kinds(chunks) == ["status", "agent_update", "content", "complete"]
    assert chunks[-1].usage.model_calls == len(own.provider.ledger) == 2


async def test_a_token_is_with_the_caller_while_the_model_still_writes(own: Service) -> None:
    own.provider.enqueue(
        Script(tokens=("A", " draft."), hold_after=1), Script(tokens=("B", "."), hold_after=1)
    )
    chunks: list[pb.ChatChunk] = []
    reading = asyncio.create_task(collect(own.stub.StreamChat(chat_request(agent_type="two_nodes")), chunks))
    for number, text in enumerate(("A", "A draft.\n\nB"), start=1):
        call = await own.provider.call(number)
        await call.sent(1)
        async with asyncio.timeout(5):
            while text_of(chunks) != text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(own.provider.ledger) == number
        call.release()
    await reading
    assert text_of(chunks) == "A draft.\n\nB."
    assert [call.tokens_sent for call in own.provider.ledger] == [2, 2]


async def test_a_second_turn_knows_the_state_of_the_first(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("One.",)), Script(tokens=("Two.",)))
    await own.chat("first", agent_type="remembers", conversation_id="c1")
    chunks = await own.chat("second", agent_type="remembers", conversation_id="c1")
    assert text_of(chunks) == "Two.\n\nturn 2: ann asked first; ann asked second"


async def test_what_nodes_say_at_the_same_time_is_not_mixed(own: Service) -> None:
    for word in ("one", "two", "three"):
        own.provider.enqueue(Script(tokens=(f"<{word}", "-" * 10, f"{word}>"), token_interval=0.02))
    chunks = await own.chat("write", agent_type="fan")
    said = text_of(chunks).split("\n\n")
    assert sorted(said) == sorted(f"<{word}{'-' * 10}{word}>" for word in ("one", "two", "three"))
    assert {c.content.message_index for c in chunks if c.HasField("content")} == {0, 1, 2}


async def test_what_is_asked_for_in_a_form_is_not_said_and_the_answer_is(own: Service) -> None:
    judged = wish("Judgement", {"good": True, "why": "it rhymes"})
    own.provider.enqueue(wishing(judged, text="Let me judge."))
    chunks = await own.chat("a poem", agent_type="judging")
    assert text_of(chunks) == "True: it rhymes"
    [call] = own.provider.ledger
    assert call.body["tool_choice"] == "required"
    assert chunks[-1].usage.model_calls == 1


async def test_the_prompt_of_the_file_is_what_the_model_is_told_first(own: Service) -> None:
    await own.chat("write", agent_type="two_nodes")
    assert [m["content"] for m in own.provider.ledger[0].body["messages"]] == ["Be brief.", "draft: write"]


async def test_a_graph_that_comes_into_a_conversation_knows_what_was_said(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("Rain.",)), Script(tokens=("Sun.",)), Script(tokens=("Both.",)))
    await own.chat("first", conversation_id="c1")
    await own.chat("second", agent_type="react", conversation_id="c1")
    await own.chat("third", agent_type="react", conversation_id="c1")
    told = [m["content"] for m in own.provider.ledger[2].body["messages"][1:]]
    assert told == ["first", "Rain.", "second", "Sun.", "third"]


async def test_another_agent_goes_on_with_what_a_graph_has_said(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("One.",)), Script(tokens=("Two.",)))
    await own.chat("first", agent_type="two_nodes", conversation_id="c1")
    await own.chat("second", conversation_id="c1")
    told = [m["content"] for m in own.provider.ledger[2].body["messages"][1:]]
    assert told == ["first", "One.\n\nTwo.", "second"]


async def test_a_turn_that_is_branched_off_has_the_state_of_its_place(own: Service) -> None:
    own.provider.default = Script(tokens=("Ok.",))
    first = await own.chat("first", agent_type="remembers", conversation_id="c1")
    await own.chat("second", agent_type="remembers", conversation_id="c1")
    base = first[-1].complete.checkpoint_id
    again = await own.chat("other", agent_type="remembers", conversation_id="c1", base_checkpoint_id=base)
    assert text_of(again) == "Ok.\n\nturn 2: ann asked first; ann asked other"
    copied = await own.chat("copy", agent_type="remembers", conversation_id="c2", base_checkpoint_id=base)
    assert text_of(copied) == "Ok.\n\nturn 2: ann asked first; ann asked copy"
