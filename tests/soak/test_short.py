"""The soak, briefly: its counts alone, since a slope needs minutes."""

import logging
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.harness.scale import report
from tests.soak.record import Record, read
from tests.soak.session import Plan, soak
from tests.soak.verdict import Verdict

PLAN = Plan(seconds=6.0, load=1.0, warm_up=3.0, ramp_step=1.5, rest=1.0, every=1.0, rates=(6.0,))

pytestmark = pytest.mark.timeout(300)


async def test_what_was_taken_for_a_few_seconds_of_visits_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("asyncio", "aiohttp.server"):
        caplog.set_level(logging.CRITICAL, logger=name)  # visitors who leave in the middle
    kept: list[Record] = []
    record = await soak(PLAN, report, kept.append)
    verdict = Verdict(asdict(record), slopes=False)
    report("\n".join(verdict.lines()))
    assert verdict.kept_back == {}
    assert record.not_ended == 0
    assert sum(record.kinds.values()) > 0
    assert kept[-1] is record
    record.write(tmp_path / "soak.json")
    assert len(read(tmp_path / "soak.json")["samples"]) == len(record.samples)
