"""Going back in a conversation: ListCheckpoints, and turns that go on from an earlier one."""

from collections.abc import Sequence
from uuid import uuid4

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.service import Service, running_service
from tests.harness.statuses import error_info, violations


async def turn(
    service: Service, query: str, conversation: str = "c1", base: str = "", **fields: object
) -> str:
    """Say something; the id of the checkpoint that holds the turn."""
    chunks = await service.chat(query, conversation_id=conversation, base_checkpoint_id=base)
    return chunks[-1].complete.checkpoint_id


async def checkpoints(
    service: Service, conversation: str = "c1", **fields: object
) -> pb.ListCheckpointsResponse:
    values = {"user_id": "ann", "conversation_id": conversation, **fields}
    return await service.stub.ListCheckpoints(pb.ListCheckpointsRequest(**values))  # type: ignore[arg-type]


def questions(service: Service, number: int = -1) -> list[str]:
    """What the user had said in a call of the model, the newest by default."""
    return [m["content"] for m in service.provider.ledger[number].body["messages"] if m["role"] == "user"]


def ids(page: pb.ListCheckpointsResponse) -> list[str]:
    return [info.checkpoint_id for info in page.checkpoints]


async def refusal(service: Service, **fields: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat("refused", **fields)
    return raised.value


async def three_turns(service: Service, conversation: str = "c1") -> Sequence[str]:
    return [await turn(service, query, conversation) for query in ("one", "two", "three")]


async def test_checkpoints_are_listed_with_what_a_person_needs_the_newest_first(service: Service) -> None:
    service.provider.default = Script(tokens=("x" * 300,))
    runs = [await service.chat(query, conversation_id="c1") for query in ("one", "two")]
    page = await checkpoints(service)
    assert ids(page) == [chunks[-1].complete.checkpoint_id for chunks in reversed(runs)]
    newest, oldest = page.checkpoints
    assert (newest.head, oldest.head) == (True, False)
    assert newest.parent_checkpoint_id == oldest.checkpoint_id
    assert newest.run_id == runs[1][0].run_id
    assert newest.preview == "x" * 200
    assert list(newest.next_nodes) == []
    assert newest.step > oldest.step
    assert newest.create_time.ToNanoseconds() > oldest.create_time.ToNanoseconds() > 0
    assert page.next_page_token == ""


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_put_together_are_the_whole_list(service: Service, size: int) -> None:
    await three_turns(service)
    whole = await checkpoints(service)
    pages = [await checkpoints(service, page_size=size)]
    while pages[-1].next_page_token:
        pages.append(await checkpoints(service, page_size=size, page_token=pages[-1].next_page_token))
    assert all(len(page.checkpoints) <= size for page in pages)
    assert [info for page in pages for info in page.checkpoints] == list(whole.checkpoints)


async def test_a_page_goes_on_where_the_last_one_ended_though_turns_came_since(service: Service) -> None:
    one, two, three = await three_turns(service)
    first = await checkpoints(service, page_size=1)
    await turn(service, "four")
    rest = await checkpoints(service, page_token=first.next_page_token)
    assert (ids(first), ids(rest)) == ([three], [two, one])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"page_token": "ü"}, "page_token"),
        ({"page_token": "bnVsbA"}, "page_token"),
        ({"user_id": ""}, "user_id"),
        ({"conversation": ""}, "conversation_id"),
    ],
)
async def test_bad_fields_of_a_list_are_named(
    service: Service, fields: dict[str, object], field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await checkpoints(service, **fields)  # type: ignore[arg-type]
    assert list(violations(raised.value)) == [field]


async def test_a_token_of_another_conversation_is_refused(service: Service) -> None:
    await three_turns(service)
    await three_turns(service, "c2")
    token = (await checkpoints(service, page_size=1)).next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await checkpoints(service, "c2", page_token=token)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_conversation_that_is_unknown_or_somebody_elses_is_not_found(service: Service) -> None:
    await three_turns(service)
    for values in ({"conversation": "unknown"}, {"user_id": "bob"}):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await checkpoints(service, **values)
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_conversation_without_a_turn_has_no_checkpoints(service: Service) -> None:
    service.provider.enqueue(Script(fault=Fault(FaultKind.CUT, after=0)))
    with pytest.raises(grpc.aio.AioRpcError):
        await turn(service, "fails")
    assert ids(await checkpoints(service)) == []


async def test_a_turn_from_an_earlier_checkpoint_moves_the_head_and_leaves_the_old_branch(
    service: Service,
) -> None:
    one, two, three = await three_turns(service)
    fork = await turn(service, "instead", base=one)
    assert questions(service) == ["one", "instead"]
    page = await checkpoints(service)
    assert ids(page) == [fork, three, two, one]
    assert [info.head for info in page.checkpoints] == [True, False, False, False]
    assert page.checkpoints[0].parent_checkpoint_id == one
    await turn(service, "on")
    assert questions(service) == ["one", "instead", "on"]
    await turn(service, "back", base=three)
    assert questions(service) == ["one", "two", "three", "back"]


async def test_a_branch_that_fails_leaves_the_head_where_it_was(service: Service) -> None:
    one, _, three = await three_turns(service)
    service.provider.enqueue(Script(fault=Fault(FaultKind.CUT, after=0)))
    with pytest.raises(grpc.aio.AioRpcError):
        await turn(service, "fails", base=one)
    assert ids(await checkpoints(service))[0] == three
    await turn(service, "four")
    assert questions(service) == ["one", "two", "three", "four"]


@pytest.mark.parametrize("target", ["c2", ""])
async def test_another_conversations_checkpoint_begins_a_new_one_with_its_past(
    service: Service, target: str
) -> None:
    one, two, three = await three_turns(service)
    chunks = await service.chat("instead", conversation_id=target, base_checkpoint_id=two)
    assert questions(service) == ["one", "two", "instead"]
    conversation = chunks[0].metadata["conversation_id"]
    assert conversation == target or not target
    page = await checkpoints(service, conversation)
    assert ids(page) == [chunks[-1].complete.checkpoint_id, two, one]
    assert ids(await checkpoints(service)) == [three, two, one]
    await turn(service, "on", conversation)
    assert questions(service) == ["one", "two", "instead", "on"]
    await turn(service, "unharmed")
    assert questions(service) == ["one", "two", "three", "unharmed"]


async def test_a_conversation_with_turns_of_its_own_takes_no_other_ones_past(service: Service) -> None:
    one, *_ = await three_turns(service)
    await turn(service, "mine", "c2")
    calls = len(service.provider.ledger)
    error = await refusal(service, conversation_id="c2", base_checkpoint_id=one)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error_info(error).reason == "CONVERSATION_NOT_EMPTY"
    assert len(service.provider.ledger) == calls


async def test_an_unknown_or_somebody_elses_checkpoint_is_not_found_and_costs_no_call(
    service: Service,
) -> None:
    one, *_ = await three_turns(service)
    calls = len(service.provider.ledger)
    for fields in (
        {"base_checkpoint_id": str(uuid4()), "conversation_id": "c1"},
        {"base_checkpoint_id": one, "conversation_id": "c1", "user_id": "bob"},
        {"base_checkpoint_id": one, "user_id": "bob"},
    ):
        assert (await refusal(service, **fields)).code() is grpc.StatusCode.NOT_FOUND
    assert len(service.provider.ledger) == calls


async def test_a_branch_goes_on_elsewhere_when_its_replica_drains(
    dsn: str, provider: ScriptedProvider
) -> None:
    options = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
    async with running_service(dsn, provider, server={"drain_seconds": 0.0}) as first:
        one, *_ = await three_turns(first)
        provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
        call = first.stub.StreamChat(
            pb.ChatRequest(
                user_id="ann",
                conversation_id="c2",
                query="instead",
                base_checkpoint_id=one,
                run_options=options,
            )
        )
        async for chunk in call:
            if chunk.content.text:
                break
        run_id = chunk.run_id
    async with running_service(dsn, provider) as second:
        assert await second.run_ended(run_id) == "succeeded"
        await turn(second, "on", "c2")
        assert questions(second) == ["one", "instead", "on"]
