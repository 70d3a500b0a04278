"""`python -m tests.soak --seconds S --load L`: exit status 1 when something grows or is not given back."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests.soak.chart import draw
from tests.soak.record import read
from tests.soak.session import Plan, soak
from tests.soak.verdict import Verdict

_WARM_UP = 300.0
_LEAST_SHARE = 1 / 6


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0, help="of load, warm-up included")
    parser.add_argument(
        "--load", type=float, default=0.7, help="share of the capacity that is measured first"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where soak.json and soak.png are left")
    parser.add_argument("--again", type=Path, help="judge and draw the soak.json of this folder once more")
    given = parser.parse_args()
    for name in ("asyncio", "aiohttp.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # visitors who leave in the middle
    folder = given.again or given.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "soak.json"
    if not given.again:
        warm_up = min(_WARM_UP, max(60.0, _LEAST_SHARE * given.seconds))
        plan = Plan(given.seconds, given.load, warm_up, seed=given.seed)
        asyncio.run(soak(plan, _say, lambda record: record.write(file)))
    record = read(file)
    draw(record["samples"], folder / "soak.png")
    verdict = Verdict(record)
    _say("\n".join(verdict.lines()))
    _say(f"samples and chart: {folder}")
    sys.exit(not verdict.passed)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
