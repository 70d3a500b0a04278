"""`python -m tests.chaos --seed N --seconds S`: exit status 1 when a goal is not reached."""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from tests.chaos.evidence import Evidence
from tests.chaos.faults import Kind
from tests.chaos.history import FILE
from tests.chaos.session import Plan, run
from tests.chaos.verdict import Verdict

_QUIET_SHARE = 0.15


def main() -> None:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="decides the faults; the same one replays them")
    parser.add_argument("--seconds", type=float, default=420.0, help="of load; a rest comes after them")
    parser.add_argument("--folder", type=Path, help="where history and evidence are left")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument(
        "--only",
        type=Kind,
        choices=list(Kind),
        action="append",
        help="faults of this kind, and of others so named",
    )
    given = parser.parse_args()
    for name in ("asyncio", "aiohttp.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # connections that were cut on purpose
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FILE).exists():
        parser.error(f"{folder} has the history of another run")
    quiet = _QUIET_SHARE * given.seconds
    kinds = frozenset(given.only or Kind)
    plan = Plan(given.seed, quiet, given.seconds - quiet, given.replicas, kinds)
    figures = asyncio.run(run(plan, folder))
    verdict = Verdict(plan, figures, Evidence.read(folder))
    sys.stdout.write("\n".join(verdict.lines()) + "\n")
    if not verdict.passed:
        sys.stdout.write(
            f"replay: make chaos SEED={given.seed} SECONDS={given.seconds:g}; evidence: {folder}\n"
        )
    sys.exit(not verdict.passed)


if __name__ == "__main__":
    main()
