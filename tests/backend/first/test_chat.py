"""A chat over REST: what it tells, what becomes of it when its reader leaves, how it is taken up again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Response

from backend.app import create_app
from backend.event_stream import EventStream
from backend.parts import opened
from backend.serving import serving
from llm_orchestrator_client.errors import LostError
from llm_orchestrator_client.events import ContentDelta, Event
from tests.backend.first.reading import Browser, Browsers, numbers, text_of
from tests.backend.first.running import running_backend, settings_of
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.service import Service

TOKENS = tuple(f" word{n}" for n in range(8))
TEXT = "".join(TOKENS)
HELD = Script(tokens=TOKENS, hold_after=2)


async def test_an_answer_comes_as_events_with_kind_and_sequence(service: Service, ann: Browser) -> None:
    service.provider.enqueue(Script(tokens=TOKENS))
    async with ann.stream(
        "/chat", {"query": "hello", "conversation_id": "c1", "agent_type": "chat"}
    ) as stream:
        assert stream.response.headers["Content-Type"].startswith("text/event-stream")
        events = await stream.rest()
    assert events[0].kind == "status"
    assert events[-1].kind == "complete"
    assert {event.kind for event in events[1:-1]} == {"agent_update", "content", "title"}
    assert numbers(events) == list(range(1, len(events) + 1))
    assert [event.data["sequence"] for event in events] == numbers(events)
    assert [event.data["kind"] for event in events] == [event.kind for event in events]
    assert text_of(events) == events[-1].data["final_text"] == TEXT
    assert events[0].data["metadata"]["conversation_id"] == "c1"


async def test_a_reader_that_left_goes_on_where_it_stood(service: Service, ann: Browser) -> None:
    service.provider.enqueue(HELD)
    turn = {"query": "hello", "run_options": {"on_disconnect": "DISCONNECT_BEHAVIOR_CONTINUE"}}
    async with ann.stream("/chat", turn) as stream:
        seen = await stream.until_text()
        stream.response.close()
    run_id, last = seen[-1].data["run_id"], str(numbers(seen)[-1])
    service.provider.release()
    async with ann.stream(f"/chat/{run_id}/events", **{"Last-Event-ID": last}) as stream:
        seen += await stream.rest()
    assert numbers(seen) == list(range(1, len(seen) + 1))
    assert text_of(seen) == TEXT
    assert await service.run_ended(run_id) == "succeeded"
    assert len(service.provider.ledger) == 1
    async with ann.stream(f"/chat/{run_id}/events?after={last}") as stream:
        assert text_of(await stream.rest()) == TEXT[len(text_of(seen[: int(last)])) :]


async def test_a_browser_that_leaves_cancels_its_run(service: Service, ann: Browser) -> None:
    service.provider.enqueue(HELD)
    async with ann.stream("/chat", {"query": "hello"}) as stream:
        run_id = (await stream.until_text())[-1].data["run_id"]
        stream.response.close()
    assert await service.run_ended(run_id) == "cancelled"


async def test_a_turn_is_not_asked_again_by_a_browser_that_reconnects(service: Service, ann: Browser) -> None:
    status, problem, _ = await ann.call("POST", "/chat", {"query": "hello"}, **{"Last-Event-ID": "3"})
    assert (status, problem["status"]) == (400, 400)
    assert not service.provider.ledger


async def test_a_last_event_id_that_is_no_sequence_is_refused(browsers: Browsers) -> None:
    async with running_backend(settings_of()) as backend:
        ann = browsers.at(backend.address)
        for number in ("-1", "x", "1" * 30, "\u0663"):
            status, problem, headers = await ann.call("GET", f"/chat/{'0' * 32}/events?after={number}")
            assert (status, problem["title"]) == (400, "Bad Request")
            assert headers["Content-Type"] == "application/problem+json"


async def test_an_error_before_the_first_event_has_a_status_of_its_own(
    service: Service, ann: Browser
) -> None:
    status, problem, headers = await ann.call("POST", "/chat", {"query": ""})
    assert (status, headers["Content-Type"]) == (400, "application/problem+json")
    assert "query" in problem["violations"]
    service.provider.enqueue(HELD)
    async with ann.stream("/chat", {"query": "hello", "conversation_id": "c1"}) as stream:
        run_id = (await stream.until_text())[-1].data["run_id"]
        status, problem, _ = await ann.call("POST", "/chat", {"query": "again", "conversation_id": "c1"})
        assert (status, problem["reason"]) == (409, "CONVERSATION_BUSY")
        assert problem["metadata"]["run_id"] == run_id


async def test_an_error_after_it_ends_the_stream_as_its_last_event(service: Service, ann: Browser) -> None:
    service.provider.enqueue(Script(tokens=("half",), fault=Fault(FaultKind.CUT, after=1)))
    events = await ann.chat()
    assert text_of(events) == "half"
    assert [event.kind for event in events].count("error") == 1
    assert events[-1].kind == "error"
    assert events[-1].data["error"]["reason"] == "PROVIDER_BROKEN"


async def test_silence_is_filled_with_comments(service: Service, browsers: Browsers) -> None:
    service.provider.enqueue(HELD)
    settings = settings_of(f"127.0.0.1:{service.port}", server={"silence_seconds": 0.05})
    async with running_backend(settings) as backend:
        ann = browsers.at(backend.address)
        async with ann.stream("/chat", {"query": "hello"}) as stream:
            await stream.until_text()
            await stream.comments(3)
            service.provider.release()
            assert text_of(await stream.rest())


async def test_what_a_turn_may_say_is_the_contracts(service: Service, ann: Browser) -> None:
    fields: dict[str, Any] = {
        "agent_type": "chat",
        "conversation_history": [
            {"role": "user", "content": "I am Ann."},
            {"role": "assistant", "content": "Hello Ann."},
        ],
        "limits": {"max_output_tokens": "50"},
        "metadata": {"a": "b"},
    }
    assert (await ann.chat("who am I?", **fields))[-1].kind == "complete"
    said = [message["content"] for message in service.provider.ledger[0].body["messages"][1:]]
    assert said == ["I am Ann.", "Hello Ann.", "who am I?"]
    status, problem, _ = await ann.call("POST", "/chat", {"query": "hello", "querry": "x"})
    assert status == 400
    assert "querry" in problem["detail"]


async def test_a_backend_that_stops_cancels_what_it_streams(service: Service, browsers: Browsers) -> None:
    """Ten at once, so that it has to wait for what it asks of the orchestrator."""
    service.provider.default = HELD
    async with AsyncExitStack() as streams:
        async with running_backend(settings_of(f"127.0.0.1:{service.port}")) as backend:
            ann = browsers.at(backend.address)
            turn = {"query": "hello", "agent_type": "chat"}
            opened_ones = [await streams.enter_async_context(ann.stream("/chat", turn)) for _ in range(10)]
            seen = await asyncio.gather(*(stream.until_text() for stream in opened_ones))
        for events in seen:
            assert await service.run_ended(events[-1].data["run_id"]) == "cancelled"


async def test_what_nobody_foresaw_is_told_without_its_text(browsers: Browsers) -> None:
    async def failing() -> None:
        raise RuntimeError("the password is hunter2")

    settings = settings_of()
    async with opened(settings, {}) as parts:
        app = create_app(parts)
        app.add_api_route("/failing", failing)
        async with serving(app, settings.server) as address:
            status, problem, headers = await browsers.at(address).call("GET", "/failing")
    assert (status, headers["Content-Type"]) == (500, "application/problem+json")
    assert "hunter2" not in str(problem)
    assert len(problem["detail"].split()[-1]) == 32


async def test_a_stream_that_cannot_be_read_to_its_end_says_so(browsers: Browsers) -> None:
    async def breaking() -> AsyncGenerator[Event]:
        yield ContentDelta("half", sequence=1)
        raise LostError("lost after sequence 1: 10.0.0.1 refused")

    async def stream() -> Response:
        return EventStream(breaking(), silence_seconds=15)

    settings = settings_of()
    async with opened(settings, {}) as parts:
        app = create_app(parts)
        app.add_api_route("/breaking", stream, response_class=Response)
        async with (
            serving(app, settings.server) as address,
            browsers.at(address).stream("/breaking") as answer,
        ):
            events = await answer.rest()
    assert [(event.kind, event.number) for event in events] == [("content", 1), ("problem", None)]
    assert (events[1].data["status"], events[1].data["reason"]) == (503, "UNAVAILABLE")
    assert "10.0.0.1" not in str(events[1].data)


async def test_a_body_that_is_too_large_is_a_problem(browsers: Browsers) -> None:
    async with running_backend(settings_of(server={"max_body_bytes": 1024})) as backend:
        ann = browsers.at(backend.address)
        status, problem, headers = await ann.call("POST", "/chat", {"query": "x" * 2000})
    assert (status, problem["status"]) == (413, 413)
    assert headers["Content-Type"] == "application/problem+json"
