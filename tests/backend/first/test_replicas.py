"""Orchestrators that are killed, real processes: the backend answers on, no reader misses or repeats text."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.backend.first.reading import Browser, Browsers, Sent, Stream, numbers, text_of
from tests.backend.first.running import backend_process, running_backend, settings_of
from tests.client.test_resume import LEASES, environment, port_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import orchestrator_process
from tests.harness.service import running_service

TOKENS = tuple(f" word{n}" for n in range(12))
TEXT = "".join(TOKENS)


def path_of(events: list[Sent]) -> str:
    return str(events[-1].data["metadata"].get("path", "orchestrator"))


async def asked(browser: Browser, turn: int) -> str:
    """Who answered; the answer was whole, and there was one."""
    events = await browser.chat(f"turn {turn}")
    assert [event.kind for event in events].count("complete") == 1
    assert text_of(events) == events[-1].data["final_text"] == TEXT
    return path_of(events)


async def until_by_the_orchestrator(browser: Browser) -> None:
    async with asyncio.timeout(20):
        while await asked(browser, 0) == "local":
            pass


async def test_the_backend_answers_while_the_orchestrator_restarts_alone(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, browsers: Browsers
) -> None:
    provider.default = Script(tokens=TOKENS)
    async with orchestrator_process(tmp_path, **environment(dsn, provider)) as first:
        target = first.address
        async with backend_process(
            target,
            BACKEND_LOCAL__BASE_URL=provider.base_url,
            BACKEND_ROLLOUT__BREAKER_CAP_SECONDS="1",
        ) as backend:
            ann = browsers.at(backend.address)
            assert await asked(ann, 1) == "orchestrator"
            await first.kill()
            assert [await asked(ann, turn) for turn in range(2, 12)] == ["local"] * 10
            assert (await ann.call("GET", "/readyz"))[0] == 200
            async with orchestrator_process(tmp_path, **environment(dsn, provider, port_of(first))):
                await until_by_the_orchestrator(ann)
                assert [await asked(ann, turn) for turn in range(3)] == ["orchestrator"] * 3
            assert await backend.stop() == 0


async def test_a_replica_that_is_killed_in_mid_stream_leaves_no_gap_and_no_repeat(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, tmp_path: Path, browsers: Browsers
) -> None:
    """Two turns on two replicas, round-robin. One dies: both texts are whole, no id is missing or twice."""
    async with (
        running_service(dsn, provider, run=LEASES) as survivor,
        orchestrator_process(tmp_path, **environment(dsn, second)) as victim,
        running_backend(settings_of(f"127.0.0.1:{survivor.port},{victim.address}")) as backend,
    ):
        ann = browsers.at(backend.address)
        await both_answer(ann, provider, second)
        for used in (provider, second):
            used.reset()
            used.enqueue(Script(tokens=TOKENS, hold_after=3), Script(tokens=TOKENS))
        async with begun(ann, "a") as one, begun(ann, "b") as two:
            seen = [await one.until_text(), await two.until_text()]
            await victim.kill()
            provider.release()
            second.release()
            for events, stream in zip(seen, (one, two), strict=True):
                events.extend(await stream.rest())
    for events in seen:
        assert text_of(events) == events[-1].data["final_text"] == TEXT
        assert numbers(events) == list(range(1, len(events) + 1))
    resets = [[e.data["reason"] for e in events if e.kind == "reset"] for events in seen]
    assert sorted(resets) == [[], ["NEW_ATTEMPT"]]
    assert (len(provider.ledger), len(second.ledger)) == (2, 1)


def begun(ann: Browser, query: str) -> AbstractAsyncContextManager[Stream]:
    return ann.stream("/chat", {"query": query, "agent_type": "chat"})


async def both_answer(ann: Browser, *providers: ScriptedProvider) -> None:
    """Return when chats go to both replicas, each of which has a provider of its own."""
    async with asyncio.timeout(20):
        while not all(provider.ledger for provider in providers):
            await ann.chat(agent_type="chat")


async def test_a_replica_that_only_reads_may_die_without_a_trace(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, browsers: Browsers
) -> None:
    """The run is at one replica and its reader at another: text that was shown stays."""
    provider.enqueue(Script(tokens=TOKENS, hold_after=3))
    async with running_service(dsn, provider, run=LEASES) as worker:
        own = f"127.0.0.1:{worker.port}"
        async with (
            orchestrator_process(tmp_path, **environment(dsn, provider)) as reader,
            running_backend(settings_of(own)) as begins,
            running_backend(settings_of(reader.address)) as reads,
        ):
            first, ann = browsers.at(begins.address), browsers.at(reads.address)
            turn = {"query": "a", "run_options": {"on_disconnect": "DISCONNECT_BEHAVIOR_CONTINUE"}}
            async with first.stream("/chat", turn) as stream:
                run_id = (await stream.until_text())[-1].data["run_id"]
            async with ann.stream(f"/chat/{run_id}/events") as stream:
                seen = await stream.until_text()
                await reader.kill()
                provider.release()
                async with orchestrator_process(tmp_path, **environment(dsn, provider, port_of(reader))):
                    seen += await stream.rest()
    assert text_of(seen) == TEXT
    assert numbers(seen) == list(range(1, len(seen) + 1))
    assert "reset" not in {event.kind for event in seen}
    assert len(provider.ledger) == 1
