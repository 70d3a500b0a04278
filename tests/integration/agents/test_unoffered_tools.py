"""A model that wishes for tools where it has none."""

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.statuses import error_info
from tests.harness.tooled import wish, wishing

LOOK = wish("get_weather_data", {"location": "Bonn"})


async def test_a_wish_for_a_tool_where_none_is_offered_is_a_broken_answer_and_nothing_else(
    service: Service, backend: FakeToolService
) -> None:
    service.provider.enqueue(wishing(LOOK))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat("hello", agent_type="chat", conversation_id="c1")
    assert error_info(raised.value).reason == "PROVIDER_BROKEN"
    assert [call for call in backend.ledger.calls if call.method == "GetWeatherData"] == []
    await service.chat("again", agent_type="chat", conversation_id="c1")
    assert [m["content"] for m in service.provider.ledger[-1].body["messages"][1:]] == ["again"]


async def test_an_answer_that_says_it_wishes_for_tools_and_names_none_is_an_answer(service: Service) -> None:
    service.provider.enqueue(Script(tokens=("Hi.",), finish_reason="tool_calls"))
    chunks = await service.chat("hello", agent_type="chat")
    assert chunks[-1].complete.final_text == "Hi."
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP
