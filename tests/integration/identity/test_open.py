"""What is open without a token, and what is not."""

from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.harness.identity import AuthenticatedService
from tests.harness.raw import raw_unary
from tests.harness.service import Service
from tests.integration.identity.refusals import UNAUTHENTICATED, refused

LIST = reflection_pb2.ServerReflectionRequest(list_services="")


def reflection(service: Service, token: str = "") -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(service.channel)  # type: ignore[arg-type]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return stub.ServerReflectionInfo(iter([LIST]), metadata=metadata)


async def test_reflection_is_closed_without_a_token_and_open_with_one(closed: AuthenticatedService) -> None:
    assert await refused(reflection(closed)) == UNAUTHENTICATED
    answers = [answer async for answer in reflection(closed, closed.tokens["ann"])]
    assert "orchestrator.OrchestratorService" in str(answers)


async def test_reflection_is_open_where_nobody_says_who_they_are(service: Service) -> None:
    assert [answer async for answer in reflection(service)]


async def test_health_needs_no_token(closed: AuthenticatedService) -> None:
    health: Any = health_pb2_grpc.HealthStub(closed.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


async def test_bytes_that_are_no_message_are_told_nothing_without_a_token(
    closed: AuthenticatedService,
) -> None:
    call = raw_unary(closed.channel, "/orchestrator.OrchestratorService/GetUsage", b"\xff\xff")
    assert await refused(call) == UNAUTHENTICATED
