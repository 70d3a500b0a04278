"""Chaos, briefly: real processes, a handful of faults, and every invariant."""

import logging
from pathlib import Path

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.session import Plan, run
from tests.chaos.verdict import Verdict
from tests.harness.scale import report

PLAN = Plan(seed=189, quiet=2.0, faulty=9.0, replicas=2)

pytestmark = pytest.mark.timeout(300)


async def test_no_invariant_breaks_in_a_few_seconds_of_faults(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("asyncio", "aiohttp.server"):
        caplog.set_level(logging.CRITICAL, logger=name)  # connections that are cut on purpose
    figures = await run(PLAN, tmp_path)
    verdict = Verdict(PLAN, figures, Evidence.read(tmp_path))
    report("\n".join(verdict.lines()))
    assert verdict.problems == []
    assert sum(figures.played.values()) >= len(PLAN.faults) // 2
    assert verdict.quiet > 0
