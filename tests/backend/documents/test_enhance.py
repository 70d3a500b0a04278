"""Queries are put in other words, by rules or by a model; what was said before is found."""

import json
from datetime import UTC, datetime, timedelta

from backend.endpoint import EndpointOptions
from backend.store.conversations import Turn
from tests.backend.documents.backend import Backend, running
from tests.fakes.embeddings import EmbeddingsServer

QUERY = 'What did "Mary Todd" say about the running horses?'


async def test_rules_expand_a_query_without_adding_words(backend: Backend) -> None:
    found = await backend.ask("ExpandQuery", query=QUERY, num_variations=10)
    three = await backend.ask("ExpandQuery", query=QUERY)
    nothing = await backend.ask("ExpandQuery", query="the of and")

    assert found.original_query == QUERY
    assert list(found.expanded_queries) == [
        '"Mary Todd"',
        "Mary Todd say running horses",
        "Mary or Todd or say or running or horses",
        '"Todd say"',
        '"say running"',
        '"running horses"',
        "mari todd say run hors",
    ]
    assert found.key_entities == ["Mary Todd"]
    assert found.expansion_count == 7
    assert list(three.expanded_queries) == list(found.expanded_queries)[:3]
    assert not nothing.expanded_queries
    assert (await backend.refused("ExpandQuery", query=" ")).code.name == "INVALID_ARGUMENT"


async def test_names_that_the_documents_declare_are_known(backend: Backend) -> None:
    await backend.add("a.md", "---\nauthor: Jane Austen\n---\nA novel.\n")

    found = await backend.ask("ExpandQuery", query="novels by jane austen")

    assert found.key_entities == ["Jane Austen"]
    assert found.expanded_queries[0] == '"Jane Austen"'


async def test_a_model_expands_and_rules_do_when_it_fails(
    backend_dsn: str, schema: str, embeddings: EmbeddingsServer
) -> None:
    options = EndpointOptions(embeddings.base_url, "words", api_key="k")
    async with running(backend_dsn, schema=schema, expansion=options) as backend:
        answer = {"queries": ["stallions at speed", QUERY, "Stallions  at speed"], "entities": ["Mary Todd"]}
        embeddings.content = json.dumps(answer)
        by_model = await backend.ask("ExpandQuery", query=QUERY)
        embeddings.content = '{"queries": "all of them"}'
        out_of_form = await backend.ask("ExpandQuery", query=QUERY)
        embeddings.status = 500
        failed = await backend.ask("ExpandQuery", query=QUERY)

    assert list(by_model.expanded_queries) == ["stallions at speed"]
    assert out_of_form.expanded_queries[0] == failed.expanded_queries[0] == '"Mary Todd"'
    path, body = embeddings.ledger[0]
    assert (path, body["model"]) == ("/v1/chat/completions", "words")
    assert body["response_format"]["json_schema"]["strict"] is True
    assert len(embeddings.ledger) == 3


async def test_earlier_messages_are_found_by_their_words_and_age(backend: Backend) -> None:
    old = datetime.now(UTC) - timedelta(hours=5)
    turns = [
        Turn("1", "user", "Which roses do I cut in March?", said_at=old),
        Turn("2", "assistant", "Cut the climbing roses.", "chat", said_at=old),
        Turn("3", "user", "And how is the weather?"),
        Turn("4", "assistant", "Roses " + "x " * 5000, "weather"),
    ]
    for _ in range(2):
        await backend.tools.conversations.record("ann", "c1", turns)
    ask = {"query": "cutting roses", "conversation_id": "c1"}

    found = await backend.ask("SearchConversationCache", **ask)
    fresh = await backend.ask("SearchConversationCache", **ask, freshness_hours=4)
    nothing = await backend.ask("SearchConversationCache", query="tulips", conversation_id="c1")
    unknown = await backend.refused("SearchConversationCache", query="roses", conversation_id="c2")

    assert [one.agent_name for one in found.entries] == ["chat", "user", "weather"]
    assert found.entries[0].timestamp == old.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert found.entries[0].relevance_score > found.entries[2].relevance_score > 0
    assert [len(one.content) for one in fresh.entries] == [4000]
    assert (nothing.cache_hit, found.cache_hit) == (False, True)
    assert unknown.code.name == "NOT_FOUND"
