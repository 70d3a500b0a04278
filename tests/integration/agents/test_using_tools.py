"""An agent that uses tools: what it may call, what it is told, what its readers see, and where it ends."""

import grpc
import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, chat_request, text_of
from tests.harness.tooled import DONE, MILK, kinds, rest, told, tooled, wish, wishing
from tests.integration.tasks.asking import ended, start

LOOK = wish("get_weather_data", {"location": "Bonn"})
SUN = Answer(answer={"location": "Bonn", "current_conditions": "sun"})


async def ask(service: Service, query: str = "weather in Bonn?", **fields: object) -> list[pb.ChatChunk]:
    return await service.chat(query, agent_type="weather", **fields)


async def test_what_a_tool_has_found_is_told_to_the_model_as_data_and_shown_without_its_content(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", SUN)
    service.provider.enqueue(wishing(LOOK, text="Let me look."), DONE)
    chunks = await ask(service)
    assert kinds(chunks) == [
        "status",
        "agent_update",
        "content",
        "tool_call",
        "tool_result",
        "content",
        "complete",
    ]
    assert [c.sequence for c in chunks] == list(range(1, len(chunks) + 1))
    assert text_of(chunks) == chunks[-1].complete.final_text == "Let me look.\n\nDone."
    assert {c.content.message_index for c in chunks if c.HasField("content")} == {0, 1}
    called, result = (c for c in chunks if c.WhichOneof("payload") in ("tool_call", "tool_result"))
    call_id = called.tool_call.tool_call_id
    assert dict(called.tool_call.arguments) == {"location": "Bonn"}
    assert (called.tool_call.read_only, result.tool_result.ok) == (True, True)
    assert "sun" not in str(result)
    [data] = told(service.provider, 2)
    assert data.startswith(f"[data {call_id} begins]\n")
    assert data.endswith(f"\n[data {call_id} ends]")
    assert '"sun"' in data
    assert chunks[-1].usage.tool_calls == 1
    metadata = backend.ledger.calls[0].metadata
    assert metadata["x-run-id"] == metadata["x-request-id"] == chunks[0].run_id
    service.provider.enqueue(wishing(LOOK), DONE)
    await ask(service, request_id="r-1")
    assert backend.ledger.calls[1].metadata["x-request-id"] == "r-1"


async def test_the_agent_and_why_it_answers_stand_in_the_log_once(service: Service) -> None:
    service.provider.enqueue(wishing(LOOK), DONE)
    [update] = [c.agent_update for c in await ask(service) if c.HasField("agent_update")]
    assert (update.agent_name, update.routing_reason) == ("weather", "explicit")
    assert len(update.agent_version) == 16


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("delete_everything", "{}", "no such tool"),
        ("generate_image", '{"prompt": "a cat"}', "no such tool"),
        ("get_weather_data", '{"location": 7}', "schema"),
        ("get_weather_data", '{"location": "Bonn", "user_id": "bob"}', "schema"),
        ("get_weather_data", "no json", "not valid JSON"),
        ("get_weather_data\u200b", '{"location": "Bonn"}', "no such tool"),
    ],
)
async def test_a_wish_that_cannot_be_met_is_told_to_the_model_and_reaches_nobody(
    service: Service, backend: FakeToolService, name: str, arguments: str, says: str
) -> None:
    service.provider.enqueue(wishing(wish(name, arguments)), DONE)
    chunks = await ask(service)
    assert kinds(chunks) == ["status", "agent_update", "tool_result", "content", "complete"]
    assert says in told(service.provider, 2)[0]
    assert backend.ledger.calls == []


@pytest.mark.parametrize(
    ("name", "arguments", "shown_name", "shown_arguments"),
    [
        ("functions.get_weather_data", "{}", "_functions_get_weather_data", {}),
        ("get_weather_data", "no json", "get_weather_data", {"invalid_json": "no json"}),
        ("get_weather_data", "[1]", "get_weather_data", {"invalid_json": "[1]"}),
        ("get_weather_data", '{"a": "%s"}' % ("x" * 300_000), "get_weather_data", {"left_out": "too long"}),
    ],
)
async def test_a_wish_is_shown_to_the_model_again_as_every_provider_takes_it(
    service: Service, name: str, arguments: str, shown_name: str, shown_arguments: dict[str, str]
) -> None:
    script = Script(tool_calls=(wish(name, arguments),), fragment_characters=65536)
    service.provider.enqueue(script, DONE)
    assert text_of(await ask(service)) == "Done."
    [asked] = [m for m in service.provider.ledger[1].body["messages"] if m.get("tool_calls")]
    [call] = asked["tool_calls"]
    assert call["function"]["name"] == shown_name
    assert orjson.loads(call["function"]["arguments"]) == shown_arguments


async def test_several_that_only_read_are_called_at_the_same_time(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", Answer(hold=True))
    places = [wish("get_weather_data", {"location": f"place {n}"}) for n in range(3)]
    service.provider.enqueue(wishing(*places), DONE)
    call = service.stub.StreamChat(chat_request(agent_type="weather"))
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 3, "three calls at once", 5.0)
    backend.release()
    chunks = [chunk async for chunk in call]
    assert chunks[-1].complete.final_text == "Done."


async def test_a_tool_that_fails_is_told_to_the_model_and_the_run_goes_on(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", Answer(status="INTERNAL", details="password=hunter2"))
    service.provider.enqueue(wishing(LOOK), DONE)
    chunks = await ask(service)
    [result] = [c.tool_result for c in chunks if c.HasField("tool_result")]
    assert not result.ok
    assert result.error.reason
    assert "hunter2" not in str(chunks) + str(told(service.provider, 2))
    assert chunks[-1].HasField("complete")


async def test_a_conversation_goes_on_with_what_tools_have_brought_whatever_the_agent(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", SUN)
    service.provider.enqueue(wishing(LOOK, text="Let me look."), DONE)
    await ask(service, conversation_id="c1")
    await ask(service, "and tomorrow?", conversation_id="c1")
    assert any("sun" in content for content in told(service.provider, 3))
    await service.chat("thanks", conversation_id="c1")
    plain = service.provider.ledger[3].body
    assert "tools" not in plain
    assert {m["role"] for m in plain["messages"]} == {"system", "user", "assistant"}


async def test_a_run_ends_with_what_it_has_when_it_has_used_its_tool_calls(
    service: Service, backend: FakeToolService
) -> None:
    service.provider.default = wishing(LOOK, text="More.")
    chunks = await ask(service, limits=pb.RunLimits(max_tool_calls=2), conversation_id="c1")
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert chunks[-1].metadata["limit"] == "max_tool_calls"
    assert len(backend.ledger.calls) == 2
    service.provider.default = DONE
    assert text_of(await ask(service, "and now?", conversation_id="c1")) == "Done."


async def test_a_run_ends_at_the_steps_of_its_agent(service: Service) -> None:
    service.provider.default = wishing(LOOK, text="More.")
    chunks = await ask(service)
    assert chunks[-1].metadata["limit"] == "max_steps"
    assert len(service.provider.ledger) == 6


@pytest.mark.parametrize(("allowed", "offered"), [(["none"], 0), (["get_weather_data"], 1), ([], 3)])
async def test_a_request_may_narrow_what_is_offered(
    service: Service, allowed: list[str], offered: int
) -> None:
    service.provider.enqueue(DONE)
    await ask(service, allowed_tools=allowed)
    tools = service.provider.ledger[0].body.get("tools", [])
    assert len(tools) == offered


async def test_without_the_switch_no_tool_of_the_backend_is_offered_or_called(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    async with tooled(dsn, provider, backend, use_grpc_tool_service=False) as service:
        provider.enqueue(wishing(LOOK), DONE)
        await ask(service)
    assert not any(
        t["function"]["name"] == "get_weather_data" for t in provider.ledger[0].body.get("tools", [])
    )
    assert backend.ledger.calls == []


async def test_a_task_whose_second_answer_finds_no_provider_waits_and_repeats_no_tool_call(
    service: Service, backend: FakeToolService
) -> None:
    service.provider.enqueue(wishing(LOOK, text="Let me look."), Script(status=503), DONE)
    task = await start(service, agent_type="weather")
    done = await ended(service, task.task_id)
    assert (done.state, done.result) == (pb.TASK_STATE_SUCCEEDED, "Let me look.\n\nDone.")
    assert (done.attempt, done.deferrals) == (1, 1)
    assert len(backend.ledger.calls) == 1
    log = await rest(service, task.task_id)
    assert text_of(log) == "Let me look.\n\nDone."
    assert "reset" not in kinds(log)


async def test_a_chat_that_wants_no_line_waits_all_the_same_once_it_is_in_its_middle(
    service: Service, backend: FakeToolService
) -> None:
    service.provider.enqueue(wishing(LOOK, text="Let me look."), Script(status=429), DONE)
    options = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
    chunks = await ask(service, run_options=options)
    assert chunks[-1].complete.final_text == "Let me look.\n\nDone."
    assert len(backend.ledger.calls) == 1
    service.provider.enqueue(Script(status=429), DONE)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(service, run_options=options)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_cancel_after_the_step_ends_the_run_between_two_answers_and_keeps_what_there_is(
    service: Service, backend: FakeToolService
) -> None:
    backend.default("GetWeatherData", Answer(hold=True))
    service.provider.enqueue(wishing(LOOK, text="Let me look."), DONE)
    task = await start(service, agent_type="weather")
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", 5.0)
    request = pb.CancelTaskRequest(user_id="ann", task_id=task.task_id, mode=pb.CANCEL_MODE_AFTER_STEP)
    cancelling = service.stub.CancelTask(request)
    await service.run_is(task.task_id, "cancelling")
    backend.release()
    cancelled = (await cancelling).task
    assert (cancelled.state, cancelled.result) == (pb.TASK_STATE_CANCELLED, "Let me look.")
    assert len(service.provider.ledger) == 1
    assert backend.ledger.calls[0].outcome == "answered"


async def test_a_cancel_at_once_cancels_the_tool_call(service: Service, backend: FakeToolService) -> None:
    backend.default("GetWeatherData", Answer(hold=True))
    service.provider.enqueue(wishing(LOOK))
    task = await start(service, agent_type="weather")
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 1, "the call is there", 5.0)
    await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    await backend.ledger.changes.until(lambda: backend.ledger.in_flight == 0, "the call is over", 5.0)
    assert backend.ledger.calls[0].outcome == "cancelled"


BROKEN = Script(tokens=("It ", "is"), fault=Fault(FaultKind.CUT, 1))


@pytest.mark.parametrize("from_start", [False, True])
async def test_a_retry_goes_on_where_the_turn_was_left_or_from_its_start(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, from_start: bool
) -> None:
    async with tooled(dsn, provider, backend, run={"max_attempts": 1}) as service:
        provider.enqueue(wishing(LOOK, text="Let me look."), BROKEN)
        task = await start(service, agent_type="weather", conversation_id="c1")
        assert (await ended(service, task.task_id)).state == pb.TASK_STATE_FAILED
        provider.enqueue(*([wishing(LOOK, text="Again.")] if from_start else []), DONE)
        request = pb.RetryTaskRequest(user_id="ann", task_id=task.task_id, from_start=from_start)
        retried = (await service.stub.RetryTask(request)).task
        done = await ended(service, retried.task_id)
        text = "Again.\n\nDone." if from_start else "Let me look.\n\nDone."
        assert (done.state, done.result, done.retry_of) == (pb.TASK_STATE_SUCCEEDED, text, task.task_id)
        assert text_of(await rest(service, retried.task_id)) == text
        assert len(backend.ledger.calls) == (2 if from_start else 1)


async def test_a_retry_tells_the_model_of_calls_that_were_perhaps_made(
    service: Service, backend: FakeToolService
) -> None:
    adds = wishing(*(wish("add_org_inbox_item", {**MILK, "text": text}) for text in ("milk", "tea")))
    backend.script("AddOrgInboxItem", Answer(), Answer(hold=True))
    service.provider.enqueue(adds)
    grants = pb.PermissionGrants(file_write_permission=True)
    task = await start(service, agent_type="org_inbox", permission_grants=grants, conversation_id="c1")
    await backend.ledger.arrived(2)
    await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert (await ended(service, task.task_id)).state == pb.TASK_STATE_CANCELLED
    service.provider.enqueue(DONE)
    retried = (await service.stub.RetryTask(pb.RetryTaskRequest(user_id="ann", task_id=task.task_id))).task
    assert (await ended(service, retried.task_id)).state == pb.TASK_STATE_SUCCEEDED
    assert ["nobody knows whether this was done" in text for text in told(service.provider, 2)] == [True] * 2
    assert [call.request["text"] for call in backend.ledger.calls] == ["milk", "tea"]


async def test_a_retry_that_would_go_on_is_refused_once_the_conversation_has_gone_on(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    async with tooled(dsn, provider, backend, run={"max_attempts": 1}) as service:
        provider.enqueue(BROKEN, DONE, DONE)
        task = await start(service, conversation_id="c1")
        await ended(service, task.task_id)
        await service.chat("something else", conversation_id="c1")
        request = pb.RetryTaskRequest(user_id="ann", task_id=task.task_id)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.RetryTask(request)
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        request.from_start = True
        retried = (await service.stub.RetryTask(request)).task
        assert (await ended(service, retried.task_id)).state == pb.TASK_STATE_SUCCEEDED
