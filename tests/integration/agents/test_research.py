"""An agent that looks things up: what is at hand, rounds on the web, an answer that cites what was found."""

import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service, text_of
from tests.harness.tooled import decide, kinds, pending, rest, tooled
from tests.integration.agents.conftest import SHAPES
from tests.integration.tasks.asking import ended, start

HIT = {"document_id": "d1", "title": "My notes", "content_preview": "Rain was expected."}
PAGE = {"url": "https://a.org/rain", "title": "Rain today", "snippet": "It rains."}
LEFT = pb.PermissionGrants(web_search_permission=True, web_crawl_permission=True)
WRITES = Script(tokens=("It rains ", "[2", "], as noted [1", "]."))


def gaps(*queries: str, read: tuple[int, ...] = ()) -> Script:
    said = {"missing": ["today"] if queries else [], "queries": queries, "read": read}
    return Script(tokens=(orjson.dumps(said).decode(),))


@pytest.fixture(autouse=True)
def finds(backend: FakeToolService) -> None:
    backend.default("SearchDocuments", Answer(answer={"results": [HIT], "total_count": 1}))
    backend.default("SearchWeb", Answer(answer={"results": [PAGE]}))
    page = {"url": PAGE["url"], "title": PAGE["title"], "content": "It rains all day."}
    backend.default("CrawlWebContent", Answer(answer=page))


async def asks(service: Service, query: str = "does it rain?", **fields: object) -> list[pb.ChatChunk]:
    return await service.chat(query, **{"agent_type": "researcher", "permission_grants": LEFT, **fields})


def methods(backend: FakeToolService) -> list[str]:
    return [call.method for call in backend.ledger.calls]


async def test_what_is_at_hand_comes_first_then_the_web_then_an_answer_with_its_sources(
    shapes: Service, backend: FakeToolService
) -> None:
    shapes.provider.enqueue(gaps("rain today"), gaps(read=(2,)), WRITES)
    chunks = await asks(shapes)
    assert kinds(chunks) == [
        "status",
        "agent_update",
        *["plan", "tool_call", "tool_result"] * 3,
        "content",
        "complete",
    ]
    assert methods(backend) == ["SearchDocuments", "SearchWeb", "CrawlWebContent"]
    assert [call.request.get("query") for call in backend.ledger.calls[:2]] == ["does it rain?", "rain today"]
    assert text_of(chunks) == chunks[-1].complete.final_text == "It rains [2], as noted [1]."
    cited = chunks[-2].content
    assert cited.offset == len(text_of(chunks))
    assert [(c.id, c.uri, c.document_id) for c in cited.citations] == [
        ("1", "", "d1"),
        ("2", "https://a.org/rain", ""),
    ]
    told = orjson.loads(chunks[-1].metadata["citations"])
    assert told[1] == {"id": "2", "uri": "https://a.org/rain", "title": "Rain today"}
    assert "dropped_citations" not in chunks[-1].metadata
    plans = [dict(c.plan.plan) for c in chunks if c.HasField("plan")]
    assert [plan["round"] for plan in plans] == [0, 1, 2]
    shown = shapes.provider.ledger[2].body["messages"][-1]["content"]
    assert "[2] Rain today\nIt rains.\nIt rains all day." in shown
    assert shown.endswith("\n\ndoes it rain?")


async def test_where_nothing_is_missing_nobody_searches_the_web(
    shapes: Service, backend: FakeToolService
) -> None:
    shapes.provider.enqueue(gaps(), Script(tokens=("Yes [1].",)))
    chunks = await asks(shapes)
    assert text_of(chunks) == "Yes [1]."
    assert methods(backend) == ["SearchDocuments"]
    assert len(shapes.provider.ledger) == 2


async def test_a_source_that_no_tool_returned_is_not_cited(shapes: Service) -> None:
    shapes.provider.enqueue(gaps(), Script(tokens=("Yes [1], and ", "snow [7].")))
    chunks = await asks(shapes)
    assert text_of(chunks) == "Yes [1], and snow."
    assert chunks[-1].metadata["dropped_citations"] == "1"
    assert [c["id"] for c in orjson.loads(chunks[-1].metadata["citations"])] == ["1"]


async def test_the_rounds_have_an_end_and_no_search_is_made_twice(
    shapes: Service, backend: FakeToolService
) -> None:
    shapes.provider.enqueue(gaps("a"), gaps("a", "b"), WRITES)
    await asks(shapes)
    web = [call.request["query"] for call in backend.ledger.calls if call.method == "SearchWeb"]
    assert web == ["a", "b"]
    assert len(shapes.provider.ledger) == 3


@pytest.mark.parametrize("decision", ["approved", "denied"])
async def test_a_search_on_the_web_is_put_before_a_person_and_the_run_goes_on_in_another_process(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, decision: str
) -> None:
    provider.enqueue(gaps("rain today"), gaps(), WRITES)
    async with tooled(dsn, provider, backend, catalog=SHAPES) as service:
        chunks = await asks(service, permission_grants=None)
        assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION
        [permission] = await pending(service)
        assert dict(permission.arguments) == {"query": "rain today"}
    async with tooled(dsn, provider, backend, catalog=SHAPES) as service:
        await decide(service, permission, decision)
        log = await rest(service, chunks[0].run_id)
    approved = decision == "approved"
    assert methods(backend) == ["SearchDocuments", *(["SearchWeb"] if approved else [])]
    assert text_of(log) == ("It rains [2], as noted [1]." if approved else "It rains, as noted [1].")
    shown = provider.ledger[2].body["messages"][-1]["content"]
    assert ("The person said no" in shown) is not approved


async def test_a_task_that_waits_in_its_middle_looks_nothing_up_again(
    shapes: Service, backend: FakeToolService
) -> None:
    shapes.provider.enqueue(gaps(), Script(status=503), Script(tokens=("Yes [1].",)))
    task = await start(shapes, agent_type="researcher")
    done = await ended(shapes, task.task_id)
    assert (done.state, done.result, done.deferrals) == (pb.TASK_STATE_SUCCEEDED, "Yes [1].", 1)
    assert methods(backend) == ["SearchDocuments"]
    assert len(shapes.provider.ledger) == 3


async def test_out_of_tool_calls_it_answers_with_what_it_has(
    shapes: Service, backend: FakeToolService
) -> None:
    shapes.provider.enqueue(gaps("a"), Script(tokens=("Yes [1].",)))
    chunks = await asks(shapes, limits=pb.RunLimits(max_tool_calls=1))
    assert (text_of(chunks), chunks[-1].metadata["limit"]) == ("Yes [1].", "max_tool_calls")
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert methods(backend) == ["SearchDocuments"]


@pytest.mark.parametrize(("steps", "searches"), [(1, 1), (2, 2)])
async def test_the_last_step_is_kept_for_an_answer_from_what_there_is(
    shapes: Service, backend: FakeToolService, steps: int, searches: int
) -> None:
    shapes.provider.enqueue(*[gaps("a")] * (steps - 1), Script(tokens=("Yes [1].",)))
    chunks = await asks(shapes, limits=pb.RunLimits(max_steps=steps))
    assert (text_of(chunks), chunks[-1].metadata["limit"]) == ("Yes [1].", "max_steps")
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert len(methods(backend)) == searches
    assert "This is your last answer" in shapes.provider.ledger[-1].body["messages"][0]["content"]


async def test_when_no_answer_is_possible_it_names_what_it_has_found(shapes: Service) -> None:
    chunks = await asks(shapes, limits=pb.RunLimits(max_total_tokens=100))
    assert shapes.provider.ledger == []
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert text_of(chunks).startswith("I had to stop here: the run came to its limit of tokens.")
    assert text_of(chunks).endswith("\n[1] My notes")
    assert len(orjson.loads(chunks[-1].metadata["citations"])) == 1


async def test_without_any_tool_it_answers_that_nothing_was_found(shapes: Service) -> None:
    shapes.provider.enqueue(Script(tokens=("I found nothing.",)))
    chunks = await asks(shapes, allowed_tools=["none"])
    assert kinds(chunks) == ["status", "agent_update", "content", "complete"]
    assert "Nothing was found." in shapes.provider.ledger[0].body["messages"][-1]["content"]
    assert "citations" not in chunks[-1].metadata


async def test_the_conversation_keeps_question_and_answer_and_none_of_the_material(shapes: Service) -> None:
    shapes.provider.enqueue(gaps(), Script(tokens=("Yes [1].",)), Script(tokens=("ok",)))
    await asks(shapes, conversation_id="c1")
    await shapes.chat("thanks", conversation_id="c1")
    past = shapes.provider.ledger[2].body["messages"]
    assert [m["content"] for m in past[1:]] == ["does it rain?", "Yes [1].", "thanks"]
