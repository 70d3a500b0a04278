"""Talk, the weather, pictures, what to watch, and messages."""

import pytest

from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import decide, pending, rest, told, wish, wishing
from tests.integration.agents.catalogue.playing import Scene, Step, describing, play

TEXT = {"type": "string"}
SAYS = {"room_id": "r7", "text": "I am late."}
DESCRIBED = (
    describing("get_user_rooms", {}, read_only=True, open_world=True),
    describing("get_room_messages", {"room_id": TEXT}, read_only=True, open_world=True),
    describing("send_room_message", {"room_id": TEXT, "text": TEXT}),
)


@pytest.mark.agent("chat")
async def test_chat_answers_without_tools(service: Service, backend: FakeToolService) -> None:
    await play(service, backend, Scene("chat", "Who are you?", "I answer questions."))


@pytest.mark.agent("weather")
async def test_weather_looks_up_the_day_and_the_place(service: Service, backend: FakeToolService) -> None:
    steps = (
        Step("current_time", {"time_zone": "Europe/Berlin"}),
        Step(
            "get_weather_data",
            {"location": "Bonn", "data_types": ["forecast"]},
            {"location": "Bonn", "forecast": ["Friday: rain, 9 C"]},
        ),
        Step("convert_units", {"value": 9, "from_unit": "degC", "to_unit": "degF"}),
    )
    await play(service, backend, Scene("weather", "Bonn on Friday, in F?", "Rain, 48 F.", steps))


@pytest.mark.agent("image_generation")
async def test_image_generation_asks_before_it_spends(service: Service, backend: FakeToolService) -> None:
    made = {"model": "m1", "images": [{"filename": "cat.png", "url": "https://img.example/cat.png"}]}
    steps = (Step("generate_image", {"prompt": "a cat", "num_images": 1}, made, asked=True),)
    await play(service, backend, Scene("image_generation", "A cat, please.", "Here it is.", steps))


@pytest.mark.agent("entertainment")
async def test_entertainment_reads_what_the_user_has_noted(
    service: Service, backend: FakeToolService
) -> None:
    steps = (
        Step("search_documents", {"query": "Alien"}, {"results": [{"document_id": "d1", "title": "Alien"}]}),
        Step(
            "get_document_content", {"document_id": "d1"}, {"document_id": "d1", "content": "Seen. Loved it."}
        ),
        Step(
            "search_entities", {"query": "Ridley Scott"}, {"entities": [{"entity_id": "e1", "name": "R. S."}]}
        ),
        Step(
            "get_entity",
            {"entity_id": "e1"},
            {"entity": {"entity_id": "e1", "name": "R. S."}, "related_documents": ["d1", "d2"]},
        ),
    )
    await play(service, backend, Scene("entertainment", "Like Alien?", "Blade Runner.", steps))


@pytest.mark.agent("messaging")
async def test_messaging_reads_by_itself_and_asks_before_it_sends(
    service: Service, backend: FakeToolService
) -> None:
    steps = (
        Step("get_user_rooms", {}, {"rooms": [{"room_id": "r7", "name": "Ben"}]}),
        Step(
            "get_room_messages", {"room_id": "r7"}, {"messages": [{"from": "Ben", "text": "Where are you?"}]}
        ),
        Step("send_room_message", SAYS, {"message_id": "m1"}, asked=True),
    )
    await play(service, backend, Scene("messaging", "Tell Ben I am late.", "Sent.", steps, DESCRIBED))


async def test_a_message_that_was_refused_is_not_sent(service: Service, backend: FakeToolService) -> None:
    service.provider.enqueue(wishing(wish("send_room_message", SAYS)), Script(tokens=("Not sent.",)))
    backend.default("DescribeTools", Answer(answer={"tools": list(DESCRIBED)}))
    chunks = await service.chat("Tell Ben I am late.", agent_type="messaging")
    [permission] = await pending(service)
    await decide(service, permission, "denied")
    await rest(service, chunks[0].run_id)
    assert "The person said no." in told(service.provider, 2)[0]
    assert [call.method for call in backend.ledger.calls] == ["DescribeTools"]


async def test_an_agent_whose_tools_the_backend_does_not_describe_says_what_it_can(
    service: Service, backend: FakeToolService
) -> None:
    service.provider.enqueue(Script(tokens=("I am not connected to any rooms.",)))
    await service.chat("Tell Ben I am late.", agent_type="messaging")
    tools = service.provider.ledger[0].body["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["current_time"]
