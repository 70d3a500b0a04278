"""A conversation is remembered by its checkpoint, whatever happened in between."""

import os
import signal

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.embedded_postgres import kill_all, passable_folder, processes_of
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.process import orchestrator_process
from tests.harness.service import Service, chat_request, collect, text_of


def said(body: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    """The conversation in a recorded prompt, without the agent's own instructions."""
    messages = [(m["role"], m["content"]) for m in body["messages"]]
    assert messages[0][0] == "system"
    return messages[1:]


async def test_the_second_prompt_holds_the_first_turn(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("Hello", " Ann.")))
    await service.chat("I am Ann.", conversation_id="c1")
    await service.chat("Who am I?", conversation_id="c1")
    assert said(service.provider.ledger[1].body) == [
        ("user", "I am Ann."),
        ("assistant", "Hello Ann."),
        ("user", "Who am I?"),
    ]


async def test_conversations_and_users_are_kept_apart(service: Service) -> None:
    await service.chat("mine", conversation_id="c1")
    await service.chat("other conversation", conversation_id="c2")
    await service.chat("other user", conversation_id="c1", user_id="bob")
    await service.chat("no mixing of lengths", conversation_id="nc1", user_id="an")
    for call in service.provider.ledger[1:]:
        assert len(said(call.body)) == 1


async def test_history_seeds_a_new_conversation_only(service: Service) -> None:
    history = [
        pb.ConversationMessage(role="user", content="earlier question"),
        pb.ConversationMessage(role="assistant", content="earlier answer"),
    ]
    for _ in range(2):
        service.provider.enqueue(Script(tokens=("fine",)))
        await service.chat("now", conversation_id="c1", conversation_history=history)
    first, second = (said(call.body) for call in service.provider.ledger)
    seed = [("user", "earlier question"), ("assistant", "earlier answer")]
    assert first == [*seed, ("user", "now")]
    assert second == [*seed, ("user", "now"), ("assistant", "fine"), ("user", "now")]


@pytest.mark.parametrize(
    "script",
    [Script(status=500), Script(tokens=("half", " of it"), fault=Fault(FaultKind.CUT, after=1))],
    ids=["before the first token", "after it"],
)
async def test_a_failed_turn_leaves_the_conversation_as_it_was(service: Service, script: Script) -> None:
    service.provider.enqueue(Script(tokens=("fine",)), script)
    await service.chat("first", conversation_id="c1")
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request("lost", conversation_id="c1")), [])
    await service.chat("third", conversation_id="c1")
    expected = [("user", "first"), ("assistant", "fine"), ("user", "third")]
    assert said(service.provider.ledger[2].body) == expected


async def test_a_cancelled_turn_leaves_the_conversation_as_it_was(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("half", " of it"), hold_after=1))
    stream = aiter(call := service.stub.StreamChat(chat_request("cancelled", conversation_id="c1")))
    while not (chunk := await anext(stream)).content.text:
        pass
    call.cancel()
    assert await service.run_ended(chunk.run_id) == "cancelled"
    await service.chat("next", conversation_id="c1")
    assert said(service.provider.ledger[1].body) == [("user", "next")]


async def test_the_oldest_messages_go_when_the_context_is_full(service: Service) -> None:
    long = "word " * 2000
    for number in range(4):
        await service.chat(f"{number} {long}", conversation_id="c1")
    last = said(service.provider.ledger[-1].body)
    assert last[-1][1].startswith("3 ")
    assert not [text for _, text in last if text.startswith("0 ")]


async def test_a_persona_is_told_to_the_model_and_stays_out_of_the_conversation(service: Service) -> None:
    persona = pb.UserPersona(
        ai_name="Iris", timezone="Europe/Stockholm", custom_preferences={"units": "metric"}
    )
    await service.chat("one", conversation_id="c1", persona=persona)
    await service.chat("two", conversation_id="c1")
    with_persona, without = (call.body["messages"][0]["content"] for call in service.provider.ledger)
    assert all(part in with_persona for part in ("Iris", "Europe/Stockholm", "units: metric"))
    assert "Iris" not in str(service.provider.ledger[1].body)
    assert with_persona.startswith(without)


async def test_temperature_and_seed_reach_the_provider(service: Service) -> None:
    await service.chat(model=pb.ModelOptions(temperature=0.25, seed=7))
    await service.chat()
    first, second = (call.body for call in service.provider.ledger)
    assert (first["temperature"], first["seed"]) == (0.25, 7)
    assert not {"temperature", "seed"} & second.keys()


async def test_memory_survives_kill_9_of_everything() -> None:
    """The service and its own Postgres are killed and start again; the prompt holds the first turn."""
    async with scripted_provider_process() as provider:
        await provider.enqueue(Script(tokens=("Hello", " Ann.")))
        environment = {"OPENAI_BASE_URL": provider.base_url}
        with passable_folder() as folder:
            async with orchestrator_process(folder, **environment) as first:
                await _chat(first.address, "I am Ann.")
                os.kill(first.pid, signal.SIGKILL)
                kill_all(folder)
                assert await first.exit_code() == -signal.SIGKILL
            async with orchestrator_process(folder, **environment) as second:
                assert text_of(await _chat(second.address, "Who am I?"))
                assert await second.stop() == 0
            assert not processes_of(folder)
        recorded = said((await provider.ledger(ended=2))[1].body)
    assert recorded == [("user", "I am Ann."), ("assistant", "Hello Ann."), ("user", "Who am I?")]


async def _chat(address: str, query: str) -> list[pb.ChatChunk]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        return [chunk async for chunk in stub.StreamChat(chat_request(query, conversation_id="c1"))]
