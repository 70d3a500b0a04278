"""What a handler raises, as the caller and the model see it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from llm_orchestrator_client.protos import tool_service_pb2 as client_pb
from llm_orchestrator_client.tool_service import (
    Call,
    DescribedTools,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerOptions,
    ToolServiceError,
    ToolServiceServer,
    TooSlowError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from llm_orchestrator_client.tool_service.rpcs import method_name
from tests.harness.tools import call as call_tool
from tests.harness.tools import options
from tests.toolserver.backend import ANYWHERE, TYPED, Recording
from tests.toolserver.calling import ask, invocation, refused
from tools.gateway.gateway import ToolGateway

SECRET = "postgres://app:hunter2@db/prod"


def raising(error: BaseException) -> Callable[[Call, Any], Awaitable[Any]]:
    async def answer(call: Call, request: Any) -> Any:
        raise error

    return answer


@pytest.mark.parametrize("rpc", TYPED)
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(SECRET),
        KeyError(SECRET),
        TimeoutError(SECRET),
        ConnectionError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        asyncio.CancelledError(SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_text_of_an_exception_leaves_the_backend(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, error: BaseException
) -> None:
    backend.answers[method_name(rpc)] = raising(error)
    ended = await refused(channel, rpc)
    assert ended.code is grpc.StatusCode.INTERNAL
    assert ended.text.startswith("internal error")
    assert "hunter2" not in ended.everything
    backend.answers.clear()
    await ask(channel, rpc)  # nothing is left behind


async def test_no_text_of_a_described_tools_exception_leaves_the_backend(backend: Recording) -> None:
    tools = DescribedTools()

    @tools.tool("Fails.", {"type": "object"})
    async def fails(call: Call, arguments: dict[str, Any]) -> str:
        raise RuntimeError(SECRET)

    async with (
        ToolServiceServer(backend, ANYWHERE, described=tools) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        ended = await refused(channel, "InvokeTool", invocation("fails"))
    assert ended.code is grpc.StatusCode.INTERNAL
    assert "hunter2" not in ended.everything


KINDS: list[tuple[type[ToolServiceError], grpc.StatusCode, str, bool]] = [
    (NotFoundError, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", True),
    (InvalidArgumentError, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", True),
    (FailedPreconditionError, grpc.StatusCode.FAILED_PRECONDITION, "FAILED_PRECONDITION", True),
    (PermissionDeniedError, grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", True),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, "TOOL_FAILED", False),
    (UnimplementedError, grpc.StatusCode.UNIMPLEMENTED, "TOOL_OFF", False),
    (UnavailableError, grpc.StatusCode.UNAVAILABLE, "TOOL_UNAVAILABLE", False),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOOL_OVERLOADED", False),
    (TooSlowError, grpc.StatusCode.DEADLINE_EXCEEDED, "TOOL_TIMEOUT", False),
    (ToolServiceError, grpc.StatusCode.INTERNAL, "TOOL_FAILED", False),
]


def test_every_error_of_the_package_is_listed_here() -> None:
    assert {kind for kind, *_ in KINDS} == {ToolServiceError, *ToolServiceError.__subclasses__()}


@pytest.mark.parametrize(("kind", "means"), [(kind, means) for kind, *means in KINDS])
async def test_an_error_is_the_status_that_the_gateway_takes_for_what_it_is(
    channel: grpc.aio.Channel,
    gateway: ToolGateway,
    backend: Recording,
    kind: type[ToolServiceError],
    means: tuple[grpc.StatusCode, str, bool],
) -> None:
    code, reason, is_told = means
    error = kind("Line 7 reads otherwise.", retry_seconds=1.5, field="line_index", metadata={"line": "7"})
    backend.answers["update_org_inbox_item"] = raising(error)
    ended = await refused(channel, "UpdateOrgInboxItem")
    assert (ended.code, ended.text, ended.reason) == (code, "Line 7 reads otherwise.", kind.default_reason)
    assert (ended.retry_seconds, ended.field) == (1.5, "line_index")
    outcome = await call_tool(gateway, "update_org_inbox_item")
    assert outcome.reason == reason
    assert (outcome.text == "Line 7 reads otherwise.") == is_told


@pytest.mark.parametrize("text", ["x" * 100_000, "\u20ac" * 5000, "\ud800 half", "a\nb\x00c"])
async def test_a_text_of_any_kind_and_length_arrives_with_its_code(
    channel: grpc.aio.Channel, backend: Recording, text: str
) -> None:
    metadata = {f"{number}{text}": text for number in range(20)}
    backend.answers["search_web"] = raising(
        NotFoundError(text, field=text, metadata=metadata, retry_seconds=1.0)
    )
    for _ in range(20):  # what is too large is refused by chance
        ended = await refused(channel, "SearchWeb")
        assert (ended.code, ended.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        assert 0 < len(ended.text) <= 1536
        assert ended.retry_seconds == 1.0


async def test_a_refusal_inside_an_answer_goes_through(gateway: ToolGateway, backend: Recording) -> None:
    async def refuses(call: Call, request: Any) -> Any:
        return client_pb.AddOrgInboxItemResponse(error="the inbox is locked")

    backend.answers["add_org_inbox_item"] = refuses
    outcome = await call_tool(gateway, "add_org_inbox_item")
    assert (outcome.reason, outcome.text) == ("TOOL_REFUSED", "the inbox is locked")


async def test_an_answer_that_is_too_large_is_told_to_the_model_and_no_fault_of_the_backend(
    backend: Recording,
) -> None:
    async def large(call: Call, request: Any) -> Any:
        return client_pb.WebSearchResponse(results=[client_pb.WebSearchResult(title="x" * 3000)])

    backend.answers["search_web"] = large
    small = ServerOptions("127.0.0.1:0", max_send_bytes=2000, max_receive_bytes=2000)
    async with (
        ToolServiceServer(backend, small) as server,
        ToolGateway(options(server.address)) as gateway,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        outcome = await call_tool(gateway, "search_web")
        assert (outcome.reason, outcome.text) == (
            "FAILED_PRECONDITION",
            "The answer is larger than 2000 bytes. Ask for less.",
        )
        backend.seen.clear()
        ended = await refused(channel, "SearchWeb", client_pb.WebSearchRequest(user_id="a", query="x" * 3000))
        assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert backend.seen == []
