"""What a run has used stands in its last chunk and in its row, however it ended."""

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script, ScriptedUsage
from tests.harness.priced import stored_usage, until_text
from tests.harness.service import Service, chat_request, collect


async def test_a_complete_answer_tells_tokens_and_costs(service: Service) -> None:
    reported = ScriptedUsage(40, 7, cached_tokens=30, reasoning_tokens=2)
    service.provider.enqueue(Script(usage=reported, model="m-of-today"))
    usage = (await service.chat())[-1].usage
    expected = pb.Usage(
        input_tokens=40,
        output_tokens=7,
        cached_input_tokens=30,
        reasoning_tokens=2,
        model_calls=1,
        cost_micros=10 + 15 + 70,
        currency="EUR",
    )
    expected.by_model.add(provider="acme", model="m", input_tokens=40, output_tokens=7, cost_micros=95)
    assert usage == expected


async def test_an_answer_that_breaks_was_paid_as_far_as_it_came(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("abc",) * 10, fault=Fault(FaultKind.CUT, after=10)))
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request()), chunks)
    last = chunks[-1]
    assert last.HasField("error")
    assert (last.usage.model_calls, last.usage.output_tokens, last.usage.estimated) == (1, 11, True)
    assert last.usage.cost_micros == last.usage.input_tokens + 110
    stored = await stored_usage(service.dsn, last.run_id)
    assert (stored["output_tokens"], stored["cost_micros"]) == (11, last.usage.cost_micros)


async def test_an_answer_whose_caller_left_was_paid(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    call = service.stub.StreamChat(chat_request())
    run_id = await until_text(call)
    call.cancel()
    assert await service.run_ended(run_id) == "cancelled"
    stored = await stored_usage(service.dsn, run_id)
    assert (stored["output_tokens"], stored["model_calls"], stored["estimated"]) == (2, 1, True)
    assert stored["input_tokens"] > 50


async def test_a_call_that_no_provider_took_costs_nothing(service: Service) -> None:
    service.provider.default = Script(status=500)
    chunks: list[pb.ChatChunk] = []
    fail = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request(run_options=fail)), chunks)
    assert chunks[-1].usage == pb.Usage(currency="EUR")
