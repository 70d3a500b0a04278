"""A call that writes has its effect once, however often it comes."""

import asyncio
from typing import Any

import grpc
import pytest

from llm_orchestrator_client.protos import tool_service_pb2 as client_pb
from llm_orchestrator_client.tool_service import (
    Answer,
    Call,
    CallKey,
    FailedPreconditionError,
    MemoryCallStore,
)
from llm_orchestrator_client.tool_service.idempotency import to_the_end
from llm_orchestrator_client.tool_service.rpcs import OF_A_FEED, WRITING, method_name
from tests.toolserver.backend import TYPED, Recording, empty_answer, request_of
from tests.toolserver.calling import ask, refused
from tests.unit.gate.manual_time import ManualTime

ID = ("x-tool-call-id", "t" * 32)
each_write = pytest.mark.parametrize("rpc", sorted(WRITING))


def numbered(backend: Recording, rpc: str) -> None:
    """Make a handler's answers differ."""

    async def answer(call: Call, request: Any) -> Any:
        response = empty_answer(rpc)
        told = next(
            f.name for f in response.DESCRIPTOR.fields if f.type == f.TYPE_STRING and not f.is_repeated
        )
        setattr(response, told, f"answer {len(backend.seen)}")
        return response

    backend.answers[method_name(rpc)] = answer


@each_write
async def test_a_repeated_write_is_done_once_and_gives_the_first_answer_again(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    numbered(backend, rpc)
    answers = [await ask(channel, rpc, None, ID) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] != empty_answer(rpc)
    assert len(backend.seen) == 1


@each_write
async def test_another_id_another_user_or_no_id_is_another_call(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    await ask(channel, rpc, None, ID)
    await ask(channel, rpc, None, ("x-tool-call-id", "other"))
    backend.owner = "bob"
    await ask(channel, rpc, request_of(rpc, "bob"), ID)
    backend.owner = "ann"
    await ask(channel, rpc)
    await ask(channel, rpc)
    assert len(backend.seen) == 5


@pytest.mark.parametrize("rpc", sorted(set(TYPED) - WRITING))
async def test_what_only_reads_is_read_each_time(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    for _ in range(2):
        await ask(channel, rpc, None, ID)
    assert len(backend.seen) == 2


async def test_the_same_id_for_something_else_is_refused(
    channel: grpc.aio.Channel, backend: Recording
) -> None:
    await ask(channel, "AppendOrgInboxText", request_of("AppendOrgInboxText", text="milk"), ID)
    ended = await refused(channel, "AppendOrgInboxText", request_of("AppendOrgInboxText", text="eggs"), ID)
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOOL_CALL_ID_REUSED")
    assert len(backend.seen) == 1


async def test_maps_in_another_order_are_the_same_call(channel: grpc.aio.Channel, backend: Recording) -> None:
    for names in ("abcdef", "fedcba"):
        request = client_pb.AddOrgInboxItemRequest(user_id="ann", text="Bo", kind="contact")
        for name in names:
            request.contact_properties[name] = name
        await ask(channel, "AddOrgInboxItem", request, ID)
    assert len(backend.seen) == 1


async def test_a_call_that_was_refused_is_made_anew(channel: grpc.aio.Channel, backend: Recording) -> None:
    async def refuses(call: Call, request: Any) -> Any:
        raise FailedPreconditionError("locked")

    backend.answers["append_org_inbox_text"] = refuses
    await refused(channel, "AppendOrgInboxText", None, ID)
    backend.answers.clear()
    await ask(channel, "AppendOrgInboxText", None, ID)
    assert len(backend.seen) == 2


async def test_two_at_the_same_time_have_one_effect_and_one_answer(
    channel: grpc.aio.Channel, backend: Recording
) -> None:
    release = asyncio.Event()

    async def slow(call: Call, request: Any) -> Any:
        await release.wait()
        return client_pb.AppendOrgInboxTextResponse(success=True, message=str(len(backend.seen)))

    backend.answers["append_org_inbox_text"] = slow
    calls = [asyncio.create_task(ask(channel, "AppendOrgInboxText", None, ID)) for _ in range(5)]
    await backend.arrived.wait()
    release.set()
    assert {answer.message for answer in await asyncio.gather(*calls)} == {"1"}
    assert len(backend.seen) == 1


async def test_who_waits_takes_over_from_a_call_that_was_cancelled(
    channel: grpc.aio.Channel, backend: Recording
) -> None:
    async def never(call: Call, request: Any) -> Any:
        await asyncio.Event().wait()

    backend.answers["append_org_inbox_text"] = never
    first = asyncio.create_task(ask(channel, "AppendOrgInboxText", None, ID))
    await backend.arrived.wait()
    second = asyncio.create_task(ask(channel, "AppendOrgInboxText", None, ID))
    backend.answers.clear()
    first.cancel()
    assert (await second).success
    assert len(backend.seen) == 2


@pytest.mark.parametrize("rpc", sorted(WRITING & OF_A_FEED))
async def test_a_repetition_gets_its_answer_also_when_what_it_was_about_is_gone(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    await ask(channel, rpc, None, ID)
    backend.owner = "nobody"
    await ask(channel, rpc, None, ID)
    assert len(backend.seen) == 1


KEY = CallKey("ann", "AddRSSFeed", "t")


async def kept(store: MemoryCallStore, call_id: str, size: int = 1) -> None:
    key = CallKey("ann", "AddRSSFeed", call_id)
    assert await store.claim(key) is None
    await store.keep(key, Answer(b"", b"x" * size))


async def known(store: MemoryCallStore, call_id: str) -> bool:
    key = CallKey("ann", "AddRSSFeed", call_id)
    if await store.claim(key) is not None:
        return True
    await store.release(key)
    return False


async def test_the_store_forgets_the_oldest_beyond_its_number_its_size_and_its_time() -> None:
    time = ManualTime()
    store = MemoryCallStore(most=3, most_bytes=100, seconds=10.0, clock=time.clock)
    for number in range(4):
        await kept(store, str(number))
    assert [await known(store, str(number)) for number in range(4)] == [False, True, True, True]
    await kept(store, "large", 99)
    assert [await known(store, name) for name in ("2", "3", "large")] == [False, True, True]
    await kept(store, "too large", 101)
    assert len(store) == 0
    await kept(store, "late")
    time.advance(10.1)
    assert not await known(store, "late")
    assert len(store) == 0


async def test_what_is_at_work_is_never_forgotten() -> None:
    store = MemoryCallStore(most=1)
    assert await store.claim(KEY) is None
    for number in range(5):
        await kept(store, str(number))
    waiting = asyncio.create_task(store.claim(KEY))
    await asyncio.sleep(0)
    assert not waiting.done()
    await store.keep(KEY, Answer(b"d", b"done"))
    assert await waiting == Answer(b"d", b"done")


async def test_what_has_begun_to_be_kept_is_kept_though_the_call_is_cancelled() -> None:
    begun, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await release.wait()
        ended.set()

    task = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
