"""When the local path answers instead, by status code, by what was shown, and by what was done."""

from pathlib import Path

import grpc
import pytest

from llm_orchestrator_client.errors import DeadlineError, UnavailableError
from llm_orchestrator_client.payloads import Failure
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.breaker import BreakerSettings
from llm_orchestrator_client.rollout.flags import Flag
from llm_orchestrator_client.rollout.router import RouterSettings
from tests.rollout.rolling import LOCAL, flags_on, request_of, rolled_out
from tests.rollout.scripted_orchestrator import (
    RUN_ID,
    Play,
    ScriptedOrchestrator,
    complete,
    content,
    failure,
    status,
    tool_call,
)

FALLS_BACK = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
NEVER_OPENS = BreakerSettings(consecutive_failures=1_000_000)
PATIENT = RolloutSettings(breaker=NEVER_OPENS)
HASTY = RolloutSettings(router=RouterSettings(first_event_seconds=1.0, first_byte_seconds=1.2))
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
@pytest.mark.parametrize("as_event", [False, True], ids=["refused", "failed"])
async def test_only_three_codes_make_the_local_path_answer(
    orchestrator: ScriptedOrchestrator, everybody: Path, code: grpc.StatusCode, as_event: bool
) -> None:
    chunks = [status(), failure(2, code, "REASON")] if as_event else []
    orchestrator.play = Play(chunks, code, "REASON")
    async with rolled_out(orchestrator.address, everybody, settings=PATIENT) as world:
        answered = await world.ask()
        if code in FALLS_BACK:
            assert (answered.text, answered.ends, answered.error) == (LOCAL, 1, None)
            assert not any(isinstance(e, Failure) for e in answered.events)
        else:
            assert answered.error is not None
            assert (answered.error.code, answered.error.reason) == (code, "REASON")
            assert any(isinstance(e, Failure) for e in answered.events) == as_event
        assert world.local_calls == (code in FALLS_BACK)
        assert world.value("llm_rollout_fallbacks_total", cause=code.name) == (code in FALLS_BACK)


async def test_a_used_up_quota_is_not_got_round(orchestrator: ScriptedOrchestrator, everybody: Path) -> None:
    orchestrator.play = Play((), grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA")
    async with rolled_out(orchestrator.address, everybody) as world:
        assert (await world.ask()).error is not None
        assert world.local_calls == 0


@pytest.mark.parametrize("code", [code for code in CODES if code in FALLS_BACK], ids=lambda code: code.name)
async def test_without_fallback_the_error_is_the_callers(
    orchestrator: ScriptedOrchestrator, tmp_path: Path, code: grpc.StatusCode
) -> None:
    file = flags_on(tmp_path / "flags.json", FALLBACK=False)
    orchestrator.play = Play((), code, "REASON")
    async with rolled_out(orchestrator.address, file) as world:
        answered = await world.ask()
        assert answered.error is not None
        assert answered.error.code is code
        assert world.local_calls == 0
    assert orchestrator.requests[0].run_options.on_saturated == pb.SATURATION_BEHAVIOR_UNSPECIFIED


async def test_with_fallback_the_orchestrator_is_not_to_wait(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play([complete(1)])
    request = request_of()
    async with rolled_out(orchestrator.address, everybody) as world:
        await world.ask(request)
    [sent] = orchestrator.requests
    assert sent.run_options.on_saturated == pb.SATURATION_BEHAVIOR_FAIL
    assert sent.run_options.on_disconnect == pb.DISCONNECT_BEHAVIOR_CONTINUE
    assert sent.request_id
    assert request == request_of()  # the caller's own is as it was


COMMITTING = {
    "a content byte": content(2),
    "a byte of reasoning": content(2, reasoning=True),
    "an effect": tool_call(2, read_only=False),
    "a question to a person": pb.ChatChunk(
        sequence=2, run_id=RUN_ID, permission_requested=pb.PermissionRequested()
    ),
    "operations on a document": pb.ChatChunk(
        sequence=2, run_id=RUN_ID, editor_operations=pb.EditorOperations()
    ),
    "a file": pb.ChatChunk(sequence=2, run_id=RUN_ID, artifact=pb.Artifact()),
    "what is not known": pb.ChatChunk(sequence=2, run_id=RUN_ID, message="new"),
}


@pytest.mark.parametrize("chunk", COMMITTING.values(), ids=COMMITTING)
async def test_nobody_falls_back_after(
    orchestrator: ScriptedOrchestrator, everybody: Path, chunk: pb.ChatChunk
) -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    orchestrator.play = Play(
        [status(), chunk, failure(3, unavailable, "WORKER_LOST")], unavailable, "WORKER_LOST"
    )
    async with rolled_out(orchestrator.address, everybody) as world:
        answered = await world.ask()
        assert isinstance(answered.error, UnavailableError)
        assert world.local_calls == 0


HARMLESS = {
    "an empty byte": content(2, ""),
    "reading": tool_call(2, read_only=True),
    "the choice of an agent": pb.ChatChunk(sequence=2, run_id=RUN_ID, agent_update=pb.AgentUpdate()),
}


@pytest.mark.parametrize("chunk", HARMLESS.values(), ids=HARMLESS)
async def test_one_may_fall_back_after(
    orchestrator: ScriptedOrchestrator, everybody: Path, chunk: pb.ChatChunk
) -> None:
    unavailable = grpc.StatusCode.UNAVAILABLE
    orchestrator.play = Play(
        [status(), chunk, failure(3, unavailable, "WORKER_LOST")], unavailable, "WORKER_LOST"
    )
    async with rolled_out(orchestrator.address, everybody) as world:
        answered = await world.ask()
        assert (answered.text, answered.ends, answered.error) == (LOCAL, 1, None)


@pytest.mark.parametrize("chunks", [[], [status()]], ids=["silent", "accepted"])
async def test_a_late_first_byte_is_not_waited_for_and_its_run_is_cancelled(
    orchestrator: ScriptedOrchestrator, everybody: Path, chunks: list[pb.ChatChunk]
) -> None:
    orchestrator.play = Play(chunks, hold=True)
    async with rolled_out(orchestrator.address, everybody, settings=HASTY) as world:
        answered = await world.ask()
        assert (answered.text, answered.ends, answered.error) == (LOCAL, 1, None)
        cancel = orchestrator.cancelled[0]
        assert (cancel.task_id, cancel.request_id) == (
            (RUN_ID, "") if chunks else ("", orchestrator.requests[0].request_id)
        )


async def test_a_first_byte_has_only_a_share_of_a_short_deadline(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play([status()], hold=True)
    async with rolled_out(orchestrator.address, everybody) as world:  # whose own limit is 20 s
        answered = await world.ask(seconds=0.5)
        assert (answered.text, answered.error) == (LOCAL, None)


async def test_an_effect_that_did_not_come_through_is_found_in_the_log(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play([status()], hold=True)
    orchestrator.log = [status(), tool_call(2, read_only=False)]
    async with rolled_out(orchestrator.address, everybody, settings=HASTY) as world:
        answered = await world.ask()
        assert isinstance(answered.error, DeadlineError)
        assert world.local_calls == 0


async def test_a_caller_that_leaves_has_its_run_cancelled(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play([status(), content(2)], hold=True)
    async with rolled_out(orchestrator.address, everybody) as world:
        events = world.rollout.router.stream_chat(request_of(), world.local)
        assert (await anext(events)).run_id == RUN_ID
        await events.aclose()
    assert [cancel.task_id for cancel in orchestrator.cancelled] == [RUN_ID]


async def test_the_kill_switch_works_without_a_restart(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play([content(1), complete(2)])
    async with rolled_out(orchestrator.address, everybody) as world:
        assert (await world.ask()).text == "remote"
        world.set(Flag.USE_ORCHESTRATOR, False)
        assert (await world.ask()).text == LOCAL
        world.set(Flag.USE_ORCHESTRATOR, True)
        assert (await world.ask()).text == "remote"
