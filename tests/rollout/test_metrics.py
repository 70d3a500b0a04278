"""What Prometheus is told equals what the test has counted."""

import random
from collections import Counter
from pathlib import Path

import grpc

from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.breaker import BreakerSettings
from llm_orchestrator_client.rollout.buckets import is_inside
from llm_orchestrator_client.rollout.budget import BudgetSettings
from llm_orchestrator_client.rollout.flags import Flag
from tests.rollout.rolling import LOCAL, World, flags_on, request_of, rolled_out
from tests.rollout.scripted_orchestrator import Play, ScriptedOrchestrator, complete, content

SETTINGS = RolloutSettings(
    salt="s",
    breaker=BreakerSettings(consecutive_failures=1_000_000),
    budget=BudgetSettings(minimum_samples=1_000_000),
)
PLAYS = {
    "OK": Play([content(1), complete(2)]),
    "UNAVAILABLE": Play((), grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE"),
    "RESOURCE_EXHAUSTED": Play((), grpc.StatusCode.RESOURCE_EXHAUSTED, "PROVIDER_SATURATED"),
    "INVALID_ARGUMENT": Play((), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
}


def exported(world: World, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """The counts of a metric, by its labels."""
    [family] = [metric for metric in world.registry.collect() if metric.name == name]
    samples = [s for s in family.samples if s.name in (f"{name}_total", f"{name}_count")]
    return Counter({tuple(s.labels[label] for label in labels): int(s.value) for s in samples if s.value})


async def test_a_mix_of_calls_is_counted_as_it_was(
    orchestrator: ScriptedOrchestrator, tmp_path: Path
) -> None:
    file = flags_on(tmp_path / "flags.json", 50, DENIED="user-1", ALLOWED="user-2")
    chance = random.Random(7)
    decisions, calls, fallbacks = (
        Counter[tuple[str, ...]](),
        Counter[tuple[str, ...]](),
        Counter[tuple[str, ...]](),
    )
    async with rolled_out(orchestrator.address, file, settings=SETTINGS) as world:
        for number in range(200):
            user, code = f"user-{number % 40}", chance.choice(list(PLAYS))
            orchestrator.play = PLAYS[code]
            answered = await world.ask(request_of(user))
            path, reason = expected(user)
            decisions[path, reason] += 1
            if path == "orchestrator":
                calls[path, code] += 1
            if answered.text == LOCAL:
                calls["local", "OK"] += 1
            if path == "orchestrator" and answered.text == LOCAL:
                fallbacks[code,] += 1
        assert exported(world, "llm_rollout_decisions", "path", "reason") == decisions
        assert exported(world, "llm_rollout_calls", "path", "code") == calls
        assert exported(world, "llm_rollout_fallbacks", "cause") == fallbacks
        by_path = Counter[tuple[str, ...]]()
        for (path, _), count in calls.items():
            by_path[path,] += count
        assert exported(world, "llm_rollout_duration_seconds", "path") == by_path
        with_text = Counter(
            {("orchestrator",): calls["orchestrator", "OK"], ("local",): calls["local", "OK"]}
        )
        assert exported(world, "llm_rollout_first_byte_seconds", "path") == with_text


def expected(user: str) -> tuple[str, str]:
    if user in ("user-1", "user-2"):
        return ("local", "denied") if user == "user-1" else ("orchestrator", "allowed")
    return ("orchestrator", "percentage") if is_inside("s", user, 50) else ("local", "outside")


async def test_flags_and_halt_are_exported_as_they_are_at_the_scrape(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    async with rolled_out(orchestrator.address, everybody) as world:
        assert (world.value("llm_rollout_enabled"), world.value("llm_rollout_percentage")) == (1, 100)
        world.set(Flag.PERCENTAGE, 0.1)
        world.set(Flag.USE_ORCHESTRATOR, False)
        assert (world.value("llm_rollout_enabled"), world.value("llm_rollout_percentage")) == (0, 0.1)
        world.set(Flag.PERCENTAGE, 1000)
        assert world.value("llm_rollout_percentage") == 0.1
        assert world.value("llm_rollout_flags_refused_total", flag=Flag.PERCENTAGE) >= 1


async def test_no_label_names_a_user(orchestrator: ScriptedOrchestrator, everybody: Path) -> None:
    orchestrator.play = PLAYS["OK"]
    async with rolled_out(orchestrator.address, everybody) as world:
        await world.ask(request_of("somebody", conversation_id="somewhere"))
        samples = [s for metric in world.registry.collect() for s in metric.samples]
        assert not any({"somebody", "somewhere"} & set(s.labels.values()) for s in samples)
