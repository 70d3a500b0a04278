"""Variants of an agent: who gets which, and what is seen of it."""

from collections import Counter
from pathlib import Path

from agents.loader import parse_agent
from agents.variants import variant_for
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.catalogue import agent_text
from tests.integration.routing.asking import AGENTS, LONG, routed

VARIANTS = "[{name: plain, weight: 3}, {name: warm, weight: 1, prompt: Be warm., temperature: 0.9}]"
COOK = agent_text("cook", variants=VARIANTS)
FILES = {**AGENTS, "cook": COOK}
USERS = [f"user-{number}" for number in range(2000)]


def test_each_variant_gets_its_part_of_the_users_and_every_user_always_the_same() -> None:
    spec = parse_agent("cook.md", COOK.encode())
    shares = Counter(variant_for(spec, user) for user in USERS)
    assert 0.21 < shares["warm"] / len(USERS) < 0.29
    assert shares.total() == len(USERS) == shares["warm"] + shares["plain"]
    # What a user has got is no accident of this process: these are what the digest says.
    assert [variant_for(spec, user) for user in ("ann", "bob", "eve", "kim")] == [
        "plain",
        "warm",
        "plain",
        "plain",
    ]


def test_a_heavier_variant_takes_users_and_gives_none_away() -> None:
    before = parse_agent("cook.md", COOK.encode())
    after = parse_agent("cook.md", COOK.replace("weight: 3", "weight: 1").encode())
    moved = {(variant_for(before, user), variant_for(after, user)) for user in USERS}
    assert ("plain", "warm") in moved
    assert ("warm", "plain") not in moved


async def test_a_variant_changes_what_the_model_is_asked_and_is_named_at_both_ends(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    spec = parse_agent("cook.md", COOK.encode())
    warm = next(user for user in USERS if variant_for(spec, user) == "warm")
    plain = next(user for user in USERS if variant_for(spec, user) == "plain")
    async with routed(dsn, provider, tmp_path, files=FILES) as service:
        chunks = {user: await service.chat(agent_type="cook", user_id=user) for user in (warm, plain)}
        without = await service.chat(agent_type="chat", user_id=warm)
    for user, name in ((warm, "warm"), (plain, "plain")):
        assert [c.agent_update.variant for c in chunks[user] if c.HasField("agent_update")] == [name]
        assert chunks[user][-1].metadata["variant"] == name
    assert "variant" not in without[-1].metadata
    asked = [(c.body["messages"][0]["content"], c.body.get("temperature")) for c in provider.ledger[:2]]
    assert asked == [("Be warm.", 0.9), ("Be brief.", None)]


async def test_a_run_keeps_its_variant_over_a_restart(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    spec = parse_agent("cook.md", COOK.encode())
    warm = next(user for user in USERS if variant_for(spec, user) == "warm")
    async with routed(dsn, provider, tmp_path, files=FILES, server={"drain_seconds": 0.0}) as service:
        provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
        request = pb.TaskRequest(user_id=warm, query=LONG, agent_type="cook")
        task = await service.stub.StartTask(request)
        await provider.call(1)
    async with routed(dsn, provider, tmp_path) as service:
        assert await service.run_ended(task.task_id) == "succeeded"
    assert [call.body["messages"][0]["content"] for call in provider.ledger] == ["Be warm.", "Be warm."]
