"""What a caller can get wrong: the right code, the field's name if there is one, a server that goes on."""

import logging

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from orchestrator.codec import validation
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.raw import raw_stream, raw_unary
from tests.harness.service import Service, chat_request, running_service, text_of
from tests.harness.statuses import error_info, violations

STREAM_CHAT = "/orchestrator.OrchestratorService/StreamChat"
HEALTH_CHECK = "/orchestrator.OrchestratorService/HealthCheck"
CANARY = "canary-7f3a9"


async def refusal(service: Service, request: pb.ChatRequest) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.stub.StreamChat(request).read()
    return raised.value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": " \n "}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"query": "x" * (validation.QUERY_BYTES + 1)}, "query"),
        ({"query": "ü" * (validation.QUERY_BYTES // 2 + 1)}, "query"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "u" * (validation.ID_CHARACTERS + 1)}, "user_id"),
        ({"user_id": "a\nb"}, "user_id"),
        ({"conversation_id": "c" * (validation.ID_CHARACTERS + 1)}, "conversation_id"),
        ({"agent_type": "nobody"}, "agent_type"),
        ({"agent_type": "a" * (validation.NAME_CHARACTERS + 1)}, "agent_type"),
        ({"conversation_history": [pb.ConversationMessage(role="root")]}, "conversation_history[0].role"),
        (
            {"conversation_history": [pb.ConversationMessage(role="user", content="\0")]},
            "conversation_history[0].content",
        ),
        (
            {
                "conversation_history": [pb.ConversationMessage(role="user")]
                * (validation.HISTORY_MESSAGES + 1)
            },
            "conversation_history",
        ),
        ({"persona": pb.UserPersona(ai_name="a\nb")}, "persona.ai_name"),
        (
            {"persona": pb.UserPersona(custom_preferences={str(n): "" for n in range(51)})},
            "persona.custom_preferences",
        ),
        ({"model": pb.ModelOptions(temperature=2.5)}, "model.temperature"),
        ({"model": pb.ModelOptions(temperature=float("nan"))}, "model.temperature"),
        (
            {"stream_options": pb.StreamOptions(coalesce_window=Duration(seconds=-1))},
            "stream_options.coalesce_window",
        ),
        ({"run_options": pb.RunOptions(on_disconnect=77)}, "run_options.on_disconnect"),  # type: ignore[arg-type]
    ],
)
async def test_a_bad_field_is_invalid_argument_and_is_named(
    service: Service, fields: dict[str, object], field: str
) -> None:
    error = await refusal(service, chat_request(**{"query": "hello", **fields}))  # type: ignore[arg-type]
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(error).reason == "INVALID_REQUEST"
    assert list(violations(error)) == [field]
    assert service.provider.ledger == []


async def test_every_bad_field_is_named_at_once(service: Service) -> None:
    error = await refusal(service, pb.ChatRequest())
    assert list(violations(error)) == ["user_id", "query"]


async def test_what_this_release_cannot_do_is_refused_and_never_ignored(service: Service) -> None:
    document = pb.Attachment(document_id="d1")
    error = await refusal(service, chat_request("hello", attachments=[document]))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert service.provider.ledger == []


async def test_a_message_of_ten_megabytes_is_refused_by_its_field(service: Service) -> None:
    error = await refusal(service, chat_request("x" * 10_000_000))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(error)) == ["query"]


async def test_a_message_over_the_limit_is_resource_exhausted(dsn: str, provider: ScriptedProvider) -> None:
    async with running_service(dsn, provider, server={"max_receive_bytes": 100_000}) as service:
        error = await refusal(service, chat_request("x" * 200_000))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert text_of(await service.chat())


async def test_a_response_over_the_limit_is_resource_exhausted(dsn: str, provider: ScriptedProvider) -> None:
    async with running_service(dsn, provider, server={"max_send_bytes": 1024}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat("x" * 5000)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


RAW_QUERY = b"\x0a\x03ann\x1a\x03"
"""user_id = "ann", then the key and length of a query of three bytes."""


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(RAW_QUERY + b"\xff\xfe\xfd", id="invalid UTF-8"),
        pytest.param(b"\xff" * 64, id="garbage"),
        pytest.param(RAW_QUERY, id="cut off"),
        pytest.param(b"\x0b" * 5000, id="deep groups"),
    ],
)
async def test_bytes_that_are_no_message_are_invalid_argument(service: Service, payload: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await raw_stream(service.channel, STREAM_CHAT, payload)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Error" not in (raised.value.details() or "")
    assert text_of(await service.chat("still here"))


async def test_garbage_for_a_unary_call_is_invalid_argument(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await raw_unary(service.channel, HEALTH_CHECK, b"\xff" * 64)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_refusals_log_ids_and_nothing_of_the_request(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await refusal(service, chat_request(CANARY, user_id=""))
    await refusal(service, chat_request(CANARY, agent_type=CANARY))
    await service.chat(CANARY)
    logged = [str(vars(record)) for record in caplog.records if not record.name.startswith("aiohttp")]
    assert logged
    assert not [line for line in logged if CANARY in line]


async def test_an_unknown_method_is_unimplemented(service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await raw_unary(service.channel, "/orchestrator.OrchestratorService/Nothing")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
