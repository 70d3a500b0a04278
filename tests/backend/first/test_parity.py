"""The same request, answered locally and by the orchestrator: the same events in the same order.

What differs by nature: ids (run, generation, checkpoint), times, sequences (the local path has no log), how
text is cut into pieces, the agent's version, prompt (so input tokens) and why it was chosen, and costs. Only
the orchestrator gives conversations titles.
"""

from itertools import groupby
from typing import Any

import pytest

from tests.backend.first.reading import Browser, Browsers, Sent, numbers, text_of
from tests.backend.first.running import NOBODY, Running, running_backend, settings_of
from tests.client.callers import client_of
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.service import Service

TOKENS = ("Grüße", " aus", " zwei\n\nZeilen", " 🌊")
ANSWERS = {
    "a whole answer": Script(tokens=TOKENS),
    "a long one": Script(tokens=TOKENS, finish_reason="length"),
    "one that is filtered": Script(tokens=TOKENS, finish_reason="content_filter"),
    "one that breaks off": Script(tokens=TOKENS, fault=Fault(FaultKind.CUT, after=2)),
    "one without an end": Script(tokens=TOKENS, fault=Fault(FaultKind.SILENT_END, after=2)),
    "a provider that is down": Script(status=503),
}
FIELDS = {
    "status": ("agent_name", "state", "text", "queue_position"),
    "agent_update": ("agent_name", "name", "variant"),
    "content": ("agent_name", "message_index", "channel", "citations"),
    "complete": ("agent_name", "finish_reason", "final_text", "task_id"),
    "error": ("agent_name",),
}


def same(events: list[Sent]) -> list[tuple[str, dict[str, Any]]]:
    """What must be the same, pieces of text taken together."""
    told = []
    of_both = (event for event in events if event.kind != "title")
    for kind, group in groupby(of_both, key=lambda event: event.kind):
        of_kind = list(group)
        data = {name: of_kind[0].data[name] for name in FIELDS[kind]}
        told.append((kind, {**data, "whole": text_of(of_kind)}))
        if kind == "complete":
            told[-1][1]["output_tokens"] = of_kind[0].data["usage"]["output_tokens"]
        if kind == "error":
            detail = of_kind[0].data["error"]
            told[-1][1]["error"] = [detail[name] for name in ("code", "reason", "retryable")]
    return told


@pytest.mark.parametrize("script", ANSWERS.values(), ids=ANSWERS)
async def test_both_paths_tell_the_same(service: Service, browsers: Browsers, script: Script) -> None:
    service.provider.default = script
    settings = settings_of(
        f"127.0.0.1:{service.port}",
        local={"base_url": service.provider.base_url},
    )
    remote_only = {"GRPC_FALLBACK_TO_LOCAL": "false", "USE_GRPC_ORCHESTRATOR": "true"}
    answers = []
    for flags in (NOBODY, {**remote_only, "GRPC_ORCHESTRATOR_PERCENTAGE": "100"}):
        async with running_backend(settings, flags) as backend:
            answers.append(await browsers.at(backend.address).chat(conversation_id="c1", agent_type="chat"))
    local, remote = answers
    assert same(local) == same(remote)
    assert {event.data["metadata"].get("conversation_id") for event in (local[0], remote[0])} == {"c1"}
    assert numbers(remote) == list(range(1, len(remote) + 1))
    assert numbers(local) == []
    assert [event.data["run_id"] for event in local] == [""] * len(local)


async def test_rest_tells_what_grpc_tells(service: Service, ann: Browser) -> None:
    service.provider.enqueue(Script(tokens=TOKENS))
    by_rest = await ann.chat(conversation_id="c1")
    async with client_of(f"127.0.0.1:{service.port}") as client:
        by_grpc = [event async for event in client.resume(by_rest[0].data["run_id"])]
    assert [(e.KIND, e.sequence) for e in by_grpc] == [(e.kind, e.number) for e in by_rest]
    assert [e.time.isoformat() for e in by_grpc if e.time] == [e.data["time"] for e in by_rest]


async def test_a_local_answer_says_that_it_is_one(service: Service, browsers: Browsers) -> None:
    settings = settings_of(local={"base_url": service.provider.base_url})
    async with running_backend(settings, NOBODY) as backend:
        events = await browsers.at(backend.address).chat()
    assert (events[0].data["metadata"]["path"], events[-1].data["metadata"]["path"]) == ("local", "local")
    assert events[0].data["metadata"]["conversation_id"]


async def test_without_a_local_path_that_is_said(browsers: Browsers) -> None:
    async with running_backend(settings_of(), NOBODY) as backend:
        events = await browsers.at(backend.address).chat()
    assert [event.kind for event in events] == ["status", "agent_update", "error"]
    assert events[-1].data["error"]["reason"] == "LOCAL_PATH_MISSING"


async def test_a_fallback_answers_once(service: Service, backend: Running, ann: Browser) -> None:
    service.provider.enqueue(Script(status=503), Script(tokens=TOKENS))
    events = await ann.chat()
    assert [event.kind for event in events].count("complete") == 1
    assert events[-1].data["metadata"]["path"] == "local"
    assert text_of(events) == events[-1].data["final_text"] == "".join(TOKENS)
