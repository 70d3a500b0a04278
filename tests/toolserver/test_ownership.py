"""What is another user's is not there, for every RPC that takes an id: the list comes from the contract."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from llm_orchestrator_client.tool_service import (
    EVERYONE,
    Call,
    NotFoundError,
    Owned,
    PermissionDeniedError,
    ToolHandlers,
)
from llm_orchestrator_client.tool_service.rpcs import OF_A_FEED, OWNED, method_name
from state.models import Owner
from tests.harness.tools import call as call_tool
from tests.toolserver.backend import SERVICE, TYPED, Recording, ids_of, request_of
from tests.toolserver.calling import Refused, ask, refused
from tools.gateway.gateway import ToolGateway

BY_ID = [rpc for rpc in SERVICE.methods_by_name if rpc != "InvokeTool" and ids_of(rpc)]
NOT_FOUND = grpc.StatusCode.NOT_FOUND
by_id = pytest.mark.parametrize("rpc", BY_ID)


def test_every_rpc_of_the_contract_that_takes_an_id_has_its_owner_checked() -> None:
    assert set(BY_ID) == OWNED | OF_A_FEED
    assert len(TYPED) == 29


def told(ended: Refused) -> tuple[Any, str, str]:
    return ended.code, ended.text, ended.reason


async def missing(channel: grpc.aio.Channel, backend: Recording, rpc: str) -> Refused:
    """How a call ends that asks for what never was."""

    async def nothing(call: Call, request: Any) -> None:
        return None

    async def no_feeds(call: Call, *, feed_id: str, feed_name: str) -> Sequence[Owned[str]]:
        return []

    backend.answers[method_name(rpc)] = nothing
    backend.find_feeds = no_feeds  # type: ignore[method-assign]
    return await refused(channel, rpc)


@by_id
@pytest.mark.parametrize("owner", ["bob", "", "Ann", "ann ", None, 0, True])
async def test_another_users_row_is_not_there_and_looks_like_what_never_was(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, owner: Any
) -> None:
    backend.owner = owner
    foreign = await refused(channel, rpc)
    assert foreign.code is NOT_FOUND
    if rpc in OF_A_FEED:
        assert backend.seen == []  # nothing was done to it
    assert told(await missing(channel, backend, rpc)) == told(foreign)


@by_id
async def test_the_gateway_tells_the_model_nothing_of_another_users_row(
    gateway: ToolGateway, backend: Recording, rpc: str
) -> None:
    backend.owner = "bob"
    name = method_name(rpc)
    arguments = {"query": "words"} if rpc == "SearchConversationCache" else {ids_of(rpc)[0]: "it"}
    outcome = await call_tool(gateway, name, arguments)
    assert (outcome.ok, outcome.reason) == (False, "NOT_FOUND")
    assert (await call_tool(gateway, name, arguments, owner=Owner("bob"))).ok


@by_id
@pytest.mark.parametrize("said", [NotFoundError("not in table 7"), PermissionDeniedError("it is bob's")])
async def test_no_text_of_a_lookups_own_tells_the_two_apart(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, said: Exception
) -> None:
    backend.owner = "bob"
    foreign = await refused(channel, rpc)

    async def raising(call: Call, request: Any = None, **_: str) -> Any:
        raise said

    backend.answers[method_name(rpc)] = raising
    backend.find_feeds = raising  # type: ignore[method-assign]
    assert told(await refused(channel, rpc)) == told(foreign)


@by_id
async def test_what_is_everyones_is_there_for_all(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    backend.owner = EVERYONE
    if rpc != "DeleteRSSFeed":
        await ask(channel, rpc)
        return
    ended = await refused(channel, rpc)
    assert ended.code is grpc.StatusCode.PERMISSION_DENIED
    assert backend.seen == []


async def test_an_administrator_and_nobody_else_adds_and_deletes_for_everyone(
    channel: grpc.aio.Channel, backend: Recording
) -> None:
    backend.owner = EVERYONE
    request = request_of("AddRSSFeed", is_global=True)
    assert (await refused(channel, "AddRSSFeed", request)).code is grpc.StatusCode.PERMISSION_DENIED
    assert backend.seen == []

    async def ann_is(call: Call) -> bool:
        return call.user == "ann"

    backend.is_administrator = ann_is  # type: ignore[method-assign]
    await ask(channel, "AddRSSFeed", request)
    await ask(channel, "DeleteRSSFeed")
    request.user_id = "bob"
    assert (await refused(channel, "AddRSSFeed", request)).code is grpc.StatusCode.PERMISSION_DENIED
    assert await ToolHandlers().is_administrator(Call("root")) is False


@pytest.mark.parametrize("rpc", ["RefreshRSSFeed", "DeleteRSSFeed"])
async def test_a_name_fits_a_feed_of_the_users_own_or_of_all_and_just_one(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    feeds = [Owned("bob", "bobs"), Owned("ann", "anns")]

    async def by_name(call: Call, *, feed_id: str, feed_name: str) -> Sequence[Owned[str]]:
        assert (feed_id, feed_name) == ("", "news")
        return feeds

    backend.find_feeds = by_name  # type: ignore[method-assign]
    request = request_of(rpc, feed_id="", feed_name="news")
    await ask(channel, rpc, request)
    assert [seen.request.feed_id for seen in backend.seen] == ["anns"]
    feeds.append(Owned("ann", "another"))
    ended = await refused(channel, rpc, request)
    assert ended.code is grpc.StatusCode.FAILED_PRECONDITION
    assert len(backend.seen) == 1
    unnamed = await refused(channel, rpc, request_of(rpc, feed_id=""))
    assert unnamed.code is grpc.StatusCode.INVALID_ARGUMENT
