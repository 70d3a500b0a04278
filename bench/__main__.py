"""`python -m bench`: every part in one run, its ratios and goals, and the pages that are made of it."""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from bench.goals import GOALS
from bench.machine import machine
from bench.page_text import ratio_rows
from bench.parts import FULL, NORMAL, PARTS, QUICK, Part, arguments_of, run_part
from bench.report import load_line, say, table, write_json
from bench.report_page import FOLDER, README, RESULTS, write_pages

SECONDS = {QUICK: 180.0, NORMAL: 900.0, FULL: 7200.0}
_LONGER = {QUICK: 1.0, NORMAL: 1.0, FULL: 10.0}
"""So many times as long may each part take."""


async def run_parts(parts: Sequence[Part], size: str, seconds: float) -> dict[str, Any]:
    """One after the other, until the time is used up; by name, what became of each."""
    began = monotonic()
    done: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number, part in enumerate(parts, 1):
            left = seconds - (monotonic() - began)
            say(f"\n== {number} of {len(parts)}: {part.title} ({left:.0f} s left)")
            if left <= 0:
                done[part.name] = {"seconds": 0.0, "error": "no time was left"}
            else:
                limit = min(left, part.seconds * _LONGER[size])
                done[part.name] = await run_part(part, arguments_of(part, size), limit, Path(folder))
            one = done[part.name]
            say(f"== {part.name}: {one['seconds']:.0f} s {one.get('error', '')}")
    return done


def show(run: dict[str, Any]) -> None:
    """Ratios, then goals, then how long each part took."""
    results = {name: one["results"] for name, one in run["parts"].items() if "results" in one}
    say("\nratios, above 1 where we are ahead")
    table(("", "ours better"), ratio_rows(results))
    say("\ngoals, per processor")
    table(("", "goal", "reached", ""), [goal.row(results) for goal in GOALS])
    took = ", ".join(f"{name} {one['seconds']:.0f} s" for name, one in run["parts"].items())
    say(f"\n{took}\n{load_line(run['load_before'], run['load_after'])}")


def main() -> int:
    """Exit code 0 when every part ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument(
        "--size", choices=list(SECONDS), default=NORMAL, help="how much of everything (normal)"
    )
    parser.add_argument("--seconds", type=float, help="for all parts together (180, 900 or 7200 by size)")
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="these parts (all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of results, page and charts")
    parser.add_argument("--readme", type=Path, default=README, help="where the goals are written too")
    arguments = parser.parse_args()
    before, on = os.getloadavg(), machine()
    parts = [part for part in PARTS if part.name in arguments.only]
    done = asyncio.run(run_parts(parts, arguments.size, arguments.seconds or SECONDS[arguments.size]))
    run = {"size": arguments.size, "machine": on, "load_before": before, "load_after": os.getloadavg()}
    run |= {"parts": done}
    show(run)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    write_json(arguments.folder / RESULTS, run)
    write_pages(arguments.folder / RESULTS, arguments.readme)
    say(f"written: {RESULTS}, the page and the charts beside it, and the numbers in {arguments.readme.name}")
    return int(any("error" in one for one in done.values()))


if __name__ == "__main__":
    sys.exit(main())
