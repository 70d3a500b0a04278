"""Who is inside a percentage."""

import asyncio
import json
import os
import sys
from itertools import pairwise

import pytest

from llm_orchestrator_client.rollout.buckets import bucket, is_inside
from tests.harness.process import ROOT

IDS = [f"user-{number}" for number in range(100_000)]


async def decided(seed: str) -> list[str]:
    """What a process of its own decides for 500 users; `seed` is that of its hashes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.rollout.deciding",
        "500",
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
            "PYTHONHASHSEED": seed,
            "USE_GRPC_ORCHESTRATOR": "true",
            "GRPC_ORCHESTRATOR_PERCENTAGE": "30",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return list(json.loads(output))


async def test_the_same_user_gets_the_same_answer_in_three_processes() -> None:
    first, *others = await asyncio.gather(decided("1"), decided("2"), decided("random"))
    assert others == [first, first]
    assert 0 < first.count("orchestrator") < len(first)


@pytest.mark.parametrize("percentage", [0.1, 1.0, 10.0, 25.0, 50.0, 99.9])
def test_the_share_of_users_is_the_percentage(percentage: float) -> None:
    share = 100 * sum(is_inside("salt", user, percentage) for user in IDS) / len(IDS)
    # A tenth of a percent is 100 users: their number may be off by four standard deviations, not by one
    # percent.
    assert abs(share - percentage) < min(1.0, 4 * (percentage * (100 - percentage) / len(IDS)) ** 0.5)


def test_nobody_leaves_while_the_percentage_grows() -> None:
    percentages = [0.0, 0.1, 0.2, 1.0, 7.3, 10.0, 25.0, 50.0, 99.999, 100.0]
    inside = [{user for user in IDS[:20_000] if is_inside("salt", user, p)} for p in percentages]
    assert all(fewer <= more for fewer, more in pairwise(inside))
    assert not inside[0]
    assert len(inside[-1]) == 20_000


def test_a_tenth_of_a_percent_is_told_from_two() -> None:
    assert sum(is_inside("s", user, 0.1) for user in IDS) < sum(is_inside("s", user, 0.2) for user in IDS)


def test_another_salt_chooses_other_users() -> None:
    first, second = ({u for u in IDS[:20_000] if is_inside(salt, u, 10.0)} for salt in ("one", "two"))
    assert len(first & second) < 0.2 * len(first)


def test_salt_and_id_are_not_run_together() -> None:
    assert bucket("a", "bc") != bucket("ab", "c")


def test_a_bucket_is_what_it_was_when_this_was_written() -> None:
    assert [bucket("llm-orchestrator", user) for user in ("ann", "bob", "")] == GOLDEN


GOLDEN = [3234, 27534, 30257]
"""Another digest would move every user of every rollout."""
