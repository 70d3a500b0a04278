"""Calls: tried again with one effect, spread over replicas, with credentials and typed errors."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from llm_orchestrator_client import TLS, Options, OrchestratorClient, Patience
from llm_orchestrator_client.channel import REPEATABLE
from llm_orchestrator_client.errors import (
    AlreadyExistsError,
    NotFoundError,
    QuotaError,
    UnauthenticatedError,
    UnavailableError,
    error_class,
    from_call,
)
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from orchestrator.codec.errors import CODES
from tests.client.callers import client_of, rest_of
from tests.client.relay import Relay, relaying
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.certificates import self_signed
from tests.harness.retention import value
from tests.harness.service import Service, running_service


@pytest.fixture
async def relay(service: Service) -> AsyncIterator[Relay]:
    async with relaying(f"127.0.0.1:{service.port}") as relay:
        yield relay


@pytest.fixture
async def relayed(relay: Relay) -> AsyncIterator[OrchestratorClient]:
    """A client behind the relay."""
    async with client_of(relay.address) as client:
        yield client


def keys(relay: Relay, method: str) -> set[str]:
    """The request_ids that calls of a method had."""
    kind = pb.TaskRequest if method == "StartTask" else pb.RetryTaskRequest
    return {kind.FromString(call.request).request_id for call in relay.of(method)}


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_task_whose_answer_is_lost_is_asked_for_again_and_begun_once(
    service: Service, relay: Relay, relayed: OrchestratorClient, code: grpc.StatusCode
) -> None:
    """CANCELLED, which the caller has not asked for, is what a server says that stops in the middle."""
    relay.lose["StartTask"], relay.lost_as = 2, code
    started = await relayed.tasks.start("do it")
    assert started.deduplicated
    assert len(relay.of("StartTask")) == 3
    assert len(keys(relay, "StartTask")) == 1
    assert keys(relay, "StartTask") != {""}
    assert await value(service.dsn, "SELECT count(*) FROM runs") == 1
    await rest_of(relayed.tasks.watch(started.task_id))
    assert len(service.provider.ledger) == 1


async def test_a_task_begun_anew_is_begun_once(
    service: Service, relay: Relay, relayed: OrchestratorClient
) -> None:
    service.provider.enqueue(Script(status=401))
    failed = await relayed.tasks.start("do it")
    with pytest.raises(Exception, match="PROVIDER"):
        await rest_of(relayed.tasks.watch(failed.task_id))
    relay.lose["RetryTask"] = 1
    again = await relayed.tasks.retry(failed.task_id)
    assert again.retry_of == failed.task_id
    assert len(keys(relay, "RetryTask")) == 1
    assert len(relay.of("RetryTask")) == 2
    assert await value(service.dsn, "SELECT count(*) FROM runs") == 2


async def test_trying_again_has_an_end(relay: Relay, relayed: OrchestratorClient) -> None:
    relay.lose["GetServerInfo"] = 10
    with pytest.raises(UnavailableError) as raised:
        await relayed.server_info()
    assert len(relay.of("GetServerInfo")) == relayed.options.attempts
    assert raised.value.reason == ""
    assert raised.value.retryable


@pytest.mark.parametrize("method", ["HealthCheck", "DeleteConversation"])
async def test_what_would_not_be_the_same_again_is_asked_once(
    service: Service, relay: Relay, relayed: OrchestratorClient, method: str
) -> None:
    await service.chat(conversation_id="c1")
    relay.lose[method] = 1
    with pytest.raises(UnavailableError):
        await (relayed.health() if method == "HealthCheck" else relayed.conversations.delete("c1"))
    assert len(relay.of(method)) == 1


def test_every_method_is_either_repeatable_or_known_not_to_be() -> None:
    methods = pb.DESCRIPTOR.services_by_name["OrchestratorService"].methods
    unary = {method.name for method in methods if not method.server_streaming}
    assert unary - set(REPEATABLE) == {"HealthCheck", "DeleteConversation"}
    assert set(REPEATABLE) <= unary


async def test_one_key_for_two_requests_is_refused(client: OrchestratorClient) -> None:
    await client.tasks.start("one", request_id="mine")
    with pytest.raises(AlreadyExistsError) as raised:
        await client.tasks.start("two", request_id="mine")
    assert raised.value.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_calls_go_round_the_replicas_and_past_one_that_is_gone(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider) as first, running_service(dsn, provider) as second:
        target = [f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"]
        async with relaying(target[0]) as one, relaying(target[1]) as other:
            async with client_of([one.address, other.address]) as client:
                async with asyncio.timeout(10):
                    while not (one.passed and other.passed):
                        await client.health()
                one.passed.clear()
                other.passed.clear()
                for _ in range(10):
                    await client.server_info()
                assert (len(one.passed), len(other.passed)) == (5, 5)
            left = [one.address, "127.0.0.1:1"]
            async with client_of(left) as client:
                for _ in range(4):
                    await client.server_info()


async def test_a_name_is_resolved_to_its_replicas(service: Service) -> None:
    async with client_of(f"dns:///localhost:{service.port}") as client:
        assert (await client.health()).status == "healthy"


async def test_tls_and_the_token_are_used(service: Service) -> None:
    certificate = self_signed()
    async with relaying(f"127.0.0.1:{service.port}", certificate=certificate) as relay:
        relay.token = "secret"
        trusted = TLS(ca=certificate.certificate)
        async with client_of(relay.address, tls=trusted, token="secret") as client:
            assert await client.chat("hello").text()
            assert (await client.health()).status == "healthy"
        assert {call.metadata["authorization"] for call in relay.passed} == {"Bearer secret"}
        async with client_of(relay.address, tls=trusted, token="other") as client:
            with pytest.raises(UnauthenticatedError):
                await client.chat("hello").text()
        quick = Patience(connect=0.0, leave=0.1)
        for untrusting in (TLS(), TLS(ca=self_signed().certificate), None):
            async with client_of(relay.address, tls=untrusting, patience=quick) as client:
                with pytest.raises(UnavailableError):
                    await client.chat("hello").text()


async def test_a_token_that_changes_is_asked_for_before_each_call(
    relay: Relay,
) -> None:
    given = iter(["one", "two", "three"])

    async def fresh() -> str:
        return next(given)

    async with client_of(relay.address, token=lambda: next(given)) as client:
        await client.server_info()
    async with client_of(relay.address, token=fresh) as client:
        await client.server_info()
        await client.chat("hello", keep_running=True).text()
    sent = [call.metadata["authorization"] for call in relay.passed]
    assert sent == ["Bearer one", "Bearer two", "Bearer three"]


@pytest.mark.parametrize(
    "target", ["10.0.0.1:50051", "dns:///orchestrator:50051", ["127.0.0.1:1", "10.0.0.1:1"]]
)
def test_a_token_does_not_leave_the_machine_in_plain_text(target: str | list[str]) -> None:
    with pytest.raises(ValueError, match="plain text"):
        Options(target, token="secret")
    Options(target, token="secret", tls=TLS())
    Options(target, token="secret", plaintext_token=True)


@pytest.mark.parametrize("target", ["localhost:1", "127.0.0.1:1", "[::1]:1", "ipv4:127.0.0.1:1,127.0.0.2:2"])
def test_on_this_machine_it_may(target: str) -> None:
    Options(target, token="secret")


def test_secrets_are_not_shown() -> None:
    options = Options(token="secret", tls=TLS(key=b"secret", certificate=b"public"))
    assert "secret" not in repr(options)


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("name:1", "name:1"),
        (["name:1"], "name:1"),
        (["10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["[::1]:1", "[::2]:2"], "ipv6:[::1]:1,[::2]:2"),
    ],
)
def test_replicas_are_named_as_grpc_names_them(target: str | list[str], uri: str) -> None:
    assert Options(target).uri() == uri


@pytest.mark.parametrize("target", [["one:1", "two:2"], ["127.0.0.1:1", "[::1]:1"]])
def test_names_and_mixtures_are_no_list_of_replicas(target: list[str]) -> None:
    with pytest.raises(ValueError, match="IP"):
        Options(target).uri()


def test_the_environment_is_read_when_it_is_asked_for() -> None:
    environment = {
        "ORCHESTRATOR_TARGET": "127.0.0.1:1, 127.0.0.1:2",
        "ORCHESTRATOR_TOKEN": "t",
        "ORCHESTRATOR_USER": "ann",
    }
    options = Options.from_environment(environment)
    assert options.uri() == "ipv4:127.0.0.1:1,127.0.0.1:2"
    assert (options.token, options.user_id, options.tls) == ("t", "ann", None)
    assert Options.from_environment({"ORCHESTRATOR_TLS": "true"}).tls == TLS()
    assert Options.from_environment({}) == Options()


def test_each_file_that_the_environment_names_turns_tls_on(tmp_path: Path) -> None:
    ca, shown = tmp_path / "ca.crt", tmp_path / "own.crt"
    own = self_signed()
    ca.write_bytes(b"theirs")
    shown.write_bytes(own.certificate)
    (tmp_path / "own.key").write_bytes(own.key)
    pair = {
        "ORCHESTRATOR_TLS_CERTIFICATE": str(shown),
        "ORCHESTRATOR_TLS_KEY": str(tmp_path / "own.key"),
    }
    assert Options.from_environment({"ORCHESTRATOR_TLS_CA": str(ca)}).tls == TLS(ca=b"theirs")
    assert Options.from_environment(pair).tls == TLS(key=own.key, certificate=own.certificate)
    both = {**pair, "ORCHESTRATOR_TLS_CA": str(ca), "ORCHESTRATOR_TLS_SERVER_NAME": "name"}
    assert Options.from_environment(both).tls == TLS(b"theirs", own.key, own.certificate, "name")
    for half in pair.items():
        with pytest.raises(ValueError, match="both a key and a certificate"):
            Options.from_environment(dict([half]))


def test_every_reason_of_the_server_has_an_exception_of_its_own_kind() -> None:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    for reason, code in CODES.items():
        kind = error_class(codes[code], reason)
        assert kind.default_code is codes[code], reason
    assert error_class(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA") is QuotaError


def rpc_error(code: grpc.StatusCode, *details: Message) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=code.value[0], message="no")
    for detail in details:
        status.details.add().Pack(detail)
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, "no")


def test_a_status_says_why_and_when_to_come_back() -> None:
    error = from_call(
        rpc_error(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            error_details_pb2.ErrorInfo(reason="QUEUE_FULL", metadata={"a": "b"}),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=2)),
        )
    )
    assert (error.reason, error.retryable, error.retry_after) == ("QUEUE_FULL", True, timedelta(seconds=2))
    assert error.metadata == {"a": "b"}
    assert str(error) == "QUEUE_FULL: no"
    assert not from_call(
        rpc_error(grpc.StatusCode.UNAVAILABLE, error_details_pb2.ErrorInfo(reason="X"))
    ).retryable


def test_details_that_were_cut_on_the_way_leave_the_code() -> None:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", b"\xff\xff"))
    broken = grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), metadata, "no")
    assert isinstance(from_call(broken), NotFoundError)
