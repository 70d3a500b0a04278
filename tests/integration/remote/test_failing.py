"""An agent elsewhere that fails, says what nobody can read, has no room, or is away."""

from collections import deque
from pathlib import Path
from time import monotonic

import grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.orchestrator.play import SECRET, Fault, Play, asked, done, failed, text
from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service
from tests.harness.statuses import error_info
from tests.integration.remote.places import WHOLE, ask, refused, standing, with_remote

ERRORS = [
    (14, "PROVIDER_UNAVAILABLE", "PROVIDER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    (14, "DRAINING", "PROVIDER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    (4, "DEADLINE_EXCEEDED", "PROVIDER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    (10, "CONVERSATION_BUSY", "PROVIDER_UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    (8, "QUOTA", "PROVIDER_REJECTED", grpc.StatusCode.FAILED_PRECONDITION),
    (16, "UNAUTHENTICATED", "PROVIDER_REJECTED", grpc.StatusCode.FAILED_PRECONDITION),
    (7, "PERMISSION_DENIED", "PROVIDER_REJECTED", grpc.StatusCode.FAILED_PRECONDITION),
    (3, "INVALID_REQUEST", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    (5, "NOT_FOUND", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    (12, "UNIMPLEMENTED", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    (13, "INTERNAL", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    (1, "CANCELLED", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    (4711, "WHATEVER", "PROVIDER_BROKEN", grpc.StatusCode.UNAVAILABLE),
    # The last: after it the remote is spared for a while.
    (8, "PROVIDER_SATURATED", "PROVIDER_SATURATED", grpc.StatusCode.RESOURCE_EXHAUSTED),
]


async def test_its_errors_are_ours_and_nothing_of_their_text(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator
) -> None:
    fails = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
    patient = {"breaker_failures": 1000, "breaker_seconds": 0.01}
    for begun in (True, False):
        async with with_remote(dsn, provider, tmp_path, farm.address, entry=patient) as here:
            for code, reason, ours, status in ERRORS:
                detail = failed(code, reason, retry_seconds=7)
                ends = Play([text("Half"), pb.ChatChunk(error=detail)])
                farm.runs.clear()
                farm.plays = deque([ends if begun else Play(refused=detail)])
                chunks, error = await refused(here, run_options=fails)
                assert (error.code(), error_info(error).reason) == (status, ours), (code, reason, begun)
                assert SECRET not in str(chunks) + str(error.details()) + str(error.trailing_metadata())
                assert len(farm.runs) == begun


async def test_what_is_no_chunk_breaks_the_run(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(WHOLE)
    farm.faults.append(Fault(3, garbage=True))
    chunks, error = await refused(here)
    assert error_info(error).reason == "PROVIDER_BROKEN"
    assert standing(chunks) == "I dig."
    await farm.until(lambda: farm.cancelled == [farm.runs[0].request.request_id])


async def test_what_no_json_can_hold_breaks_the_run(here: Service, farm: FakeOrchestrator) -> None:
    plan = pb.ChatChunk(plan=pb.PlanUpdate())
    plan.plan.plan.fields["rows"].number_value = float("nan")
    question = asked()
    question.permission_requested.permission.arguments.fields["n"].number_value = float("inf")
    for chunk in (plan, question):
        farm.plays = deque([Play([text("a"), chunk])])
        _, error = await refused(here)
        assert error_info(error).reason == "PROVIDER_BROKEN"


async def test_a_run_that_finds_no_room_in_its_middle_waits_for_as_long_as_it_is_told(
    here: Service, farm: FakeOrchestrator
) -> None:
    full = pb.ChatChunk(error=failed(8, "PROVIDER_SATURATED", retry_seconds=1))
    farm.plays.extend([Play([text("a"), full]), Play([text("Now."), done("Now.")])])
    began = monotonic()
    chunks = await ask(here)
    assert standing(chunks) == "Now."
    assert len(farm.runs) == 2
    assert monotonic() - began >= 0.9


async def test_a_remote_that_stays_away_is_unavailable(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(WHOLE)
    await farm.stop()
    _, error = await refused(here)
    assert error_info(error).reason == "PROVIDER_UNAVAILABLE"
