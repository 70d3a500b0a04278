"""StreamChat through every layer: real server, real Postgres, a provider that keeps a ledger."""

import asyncio
from itertools import pairwise
from urllib.parse import unquote

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedUsage
from tests.harness.service import Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay

FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)


async def test_a_turn_is_status_then_content_then_one_complete(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("Good", " morning", ".")))
    chunks = await service.chat("say good morning")
    kinds = [chunk.WhichOneof("payload") for chunk in chunks]
    assert kinds[0] == "status"
    assert kinds[1] == "agent_update"
    assert set(kinds[2:-2]) == {"content"}
    assert kinds[-2:] == ["title", "complete"]
    assert text_of(chunks) == chunks[-1].complete.final_text == "Good morning."
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP


async def test_sequences_are_gap_free_and_every_chunk_names_its_run(service: Service) -> None:
    chunks = await service.chat()
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    assert len({chunk.run_id for chunk in chunks}) == 1
    assert {chunk.agent_name for chunk in chunks} == {"chat"}


async def test_initial_metadata_and_the_first_status_hold_the_ids(service: Service) -> None:
    call = service.stub.StreamChat(chat_request())
    metadata = dict(await call.initial_metadata())
    first = await anext(aiter(call))
    assert metadata["x-run-id"] == first.run_id
    assert metadata["x-conversation-id"] == first.metadata["conversation_id"]
    call.cancel()


async def test_a_conversation_may_have_any_name_and_metadata_has_it_percent_encoded(service: Service) -> None:
    call = service.stub.StreamChat(chat_request(conversation_id="Müllers Gespräch 你好"))
    assert unquote(str(dict(await call.initial_metadata())["x-conversation-id"])) == "Müllers Gespräch 你好"
    chunks = [chunk async for chunk in call]
    assert chunks[0].metadata["conversation_id"] == "Müllers Gespräch 你好"


async def test_an_empty_conversation_id_begins_a_new_conversation_each_time(service: Service) -> None:
    first, second = await service.chat(), await service.chat()
    assert first[0].metadata["conversation_id"] != second[0].metadata["conversation_id"]


async def test_the_first_token_leaves_before_the_second_exists(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("first", " second"), hold_after=1))
    call = service.stub.StreamChat(chat_request())
    stream = aiter(call)
    assert (await anext(stream)).HasField("status")
    assert (await anext(stream)).HasField("agent_update")
    assert (await anext(stream)).content.text == "first"
    service.provider.release()
    rest = [chunk async for chunk in stream]
    assert text_of(rest) == " second"


async def test_tokens_that_wait_leave_as_one_chunk(dsn: str, provider: ScriptedProvider) -> None:
    provider.enqueue(Script(tokens=tuple("abcdefghij"), token_interval=0.005))
    async with running_service(dsn, provider, stream={"window_seconds": 1.0}) as service:
        chunks = await service.chat()
    contents = [chunk.content.text for chunk in chunks if chunk.HasField("content")]
    assert "".join(contents) == "abcdefghij"
    assert len(contents) <= 2


async def test_a_caller_may_ask_for_another_window(service: Service) -> None:
    service.provider.enqueue(Script(tokens=tuple("abcdefghij"), token_interval=0.005))
    options = pb.StreamOptions()
    options.coalesce_window.FromMilliseconds(1000)
    chunks = await service.chat(stream_options=options)
    assert len([chunk for chunk in chunks if chunk.HasField("content")]) <= 2


async def test_offsets_count_the_bytes_before_each_text(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("grün", "e ", "Bäume", "."), token_interval=0.03))
    contents = [chunk.content for chunk in await service.chat() if chunk.HasField("content")]
    assert contents[0].offset == 0
    for earlier, later in pairwise(contents):
        assert later.offset == earlier.offset + len(earlier.text.encode())


async def test_string_fields_repeat_the_payload_for_callers_who_know_no_payloads(service: Service) -> None:
    chunks = await service.chat()
    types = [chunk.type for chunk in (*chunks[:3], chunks[-1])]
    assert types == ["status", "agent_update", "content", "complete"]
    assert chunks[1].message == chunks[1].agent_update.agent_name == "chat"
    assert chunks[2].message == chunks[2].content.text
    assert chunks[-1].message == chunks[-1].complete.final_text
    assert all(chunk.timestamp.endswith("Z") for chunk in chunks)


async def test_structured_only_leaves_the_string_fields_empty(service: Service) -> None:
    chunks = await service.chat(stream_options=pb.StreamOptions(structured_only=True))
    assert {(chunk.type, chunk.message, chunk.timestamp) for chunk in chunks} == {("", "", "")}
    assert text_of(chunks)


@pytest.mark.parametrize(("include", "shown"), [(False, ""), (True, "Let me think.")])
async def test_reasoning_is_shown_on_request_and_never_leaves_a_gap(
    service: Service, include: bool, shown: str
) -> None:
    service.provider.enqueue(Script(reasoning=("Let me", " think."), tokens=("Done.",)))
    chunks = await service.chat(stream_options=pb.StreamOptions(include_reasoning=include))
    reasoning = [c.content.text for c in chunks if c.content.channel == pb.CONTENT_CHANNEL_REASONING]
    assert reasoning
    assert "".join(reasoning) == shown
    assert text_of(chunks) == chunks[-1].complete.final_text == "Done."
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))


async def test_complete_carries_usage_and_where_the_answer_came_from(service: Service) -> None:
    usage = ScriptedUsage(prompt_tokens=40, completion_tokens=7, cached_tokens=30, reasoning_tokens=2)
    service.provider.enqueue(Script(usage=usage, generation_id="gen-1"))
    complete = (await service.chat())[-1]
    assert (complete.usage.input_tokens, complete.usage.output_tokens) == (40, 7)
    assert (complete.usage.cached_input_tokens, complete.usage.reasoning_tokens) == (30, 2)
    assert complete.usage.model_calls == 1
    assert not complete.usage.estimated
    assert complete.metadata["generation_id"] == "gen-1"
    assert (complete.metadata["provider"], complete.metadata["model"]) == ("scripted", "scripted-1")


async def test_usage_that_a_provider_does_not_report_is_estimated_and_says_so(service: Service) -> None:
    service.provider.enqueue(Script(usage=None))
    usage = (await service.chat())[-1].usage
    assert usage.estimated
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0


async def test_two_identical_calls_are_two_provider_calls(service: Service) -> None:
    first, second = await service.chat("same"), await service.chat("same")
    assert len(service.provider.ledger) == 2
    assert service.provider.ledger[0].body["messages"] == service.provider.ledger[1].body["messages"]
    assert first[-1].metadata["generation_id"] != second[-1].metadata["generation_id"]


@pytest.mark.parametrize(
    ("script", "code", "reason", "retries"),
    [
        (Script(status=500), grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE", True),
        (Script(status=429, retry_after=7), grpc.StatusCode.RESOURCE_EXHAUSTED, "PROVIDER_SATURATED", True),
        (Script(status=401), grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_REJECTED", False),
        (
            Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)),
            grpc.StatusCode.UNAVAILABLE,
            "PROVIDER_BROKEN",
            True,
        ),
    ],
)
async def test_a_provider_failure_is_one_error_chunk_and_the_same_status(
    service: Service, script: Script, code: grpc.StatusCode, reason: str, retries: bool
) -> None:
    service.provider.enqueue(script)
    call = service.stub.StreamChat(chat_request(run_options=FAIL))
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(call, chunks)
    terminal = [chunk for chunk in chunks if chunk.HasField("error") or chunk.HasField("complete")]
    assert terminal == chunks[-1:]
    assert chunks[-1].error.reason == error_info(raised.value).reason == reason
    assert raised.value.code() is code
    assert chunks[-1].error.code == code.value[0]
    assert (retry_delay(raised.value) is not None) is retries is chunks[-1].error.retryable


async def test_the_wait_a_provider_asks_for_is_passed_on(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=7))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat(run_options=FAIL)
    assert retry_delay(raised.value) == 7


async def test_a_caller_who_leaves_frees_the_provider(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    call = service.stub.StreamChat(chat_request())
    stream = aiter(call)
    await anext(stream)
    await anext(stream)
    call.cancel()
    upstream = await service.provider.call(1)
    assert await upstream.ended(within=1.0) is Outcome.CLIENT_GONE


async def test_a_deadline_frees_the_provider(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.StreamChat(chat_request(), timeout=0.3), [])
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    upstream = await service.provider.call(1)
    assert await upstream.ended(within=1.0) is Outcome.CLIENT_GONE


async def test_a_run_that_was_told_to_continue_outlives_its_caller(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    options = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
    call = service.stub.StreamChat(chat_request("remember me", conversation_id="c1", run_options=options))
    stream = aiter(call)
    first = await anext(stream)
    await anext(stream)
    call.cancel()
    upstream = await service.provider.call(1)
    upstream.release()
    assert await upstream.ended() is Outcome.COMPLETED
    await service.run_ended(first.run_id)
    await service.chat("what did I say?", conversation_id="c1")
    assert "remember me" in [m["content"] for m in service.provider.ledger[1].body["messages"]]


async def test_fifty_conversations_at_once_do_not_mix(service: Service) -> None:
    async def one(name: str) -> None:
        chunks = await service.chat(f"canary {name}", user_id=name, conversation_id="same")
        assert f"canary {name}" in text_of(chunks)
        assert "canary" not in text_of(chunks).replace(f"canary {name}", "")

    await asyncio.gather(*(one(f"user-{index}") for index in range(50)))
