"""`python -m bench.saver`: our checkpointer beside LangGraph's own for Postgres, in one run on one server."""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from bench.report import count, load_line, say, table, verdict, write_json
from bench.saver_sides import OURS, Side, bare_thread, sides
from bench.saver_work import Durability, Rate, operations, turns
from tests.fakes.embedded_postgres import passable_folder

GOAL = 3.0
"""So many times the operations per second, and one in so many of the CPU time for each."""
LEVELS = (1, 16, 64)
GOAL_LEVEL = 64
_IN_A_ROUND = 3
_DURABILITIES: tuple[Durability, ...] = ("exit", "async")

Rates = dict[str, list[Rate]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each side has its turn, and how much it does then."""

    rounds: int
    operations: int = 3000
    operations_alone: int = 600
    turns: int = 256


QUICK = Plan(rounds=1, operations=3 * GOAL_LEVEL, operations_alone=60, turns=GOAL_LEVEL)
"""Shows that it runs; the numbers mean little."""


async def run(plan: Plan, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    say("starting a Postgres")
    with passable_folder() as folder:
        async with sides(folder) as compared:
            operated = {level: await _operations(compared, level, plan) for level in LEVELS}
            turned = {kept: await _turns(compared, kept, plan) for kept in _DURABILITIES}
    results = [show(f"{level} at once: operations", rates) for level, rates in operated.items()]
    reached = judge(operated[GOAL_LEVEL])
    results += [show(f'turns, durability "{kept}"', rates) for kept, rates in turned.items()]
    after = os.getloadavg()
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "series": results, "goals": reached})


async def _operations(compared: Sequence[Side], level: int, plan: Plan) -> Rates:
    say(f"operations, {level} at once")
    each = (plan.operations_alone if level == 1 else plan.operations) // level // _IN_A_ROUND
    return await in_turn(compared, plan.rounds, lambda side: operations(side, level, each))


async def _turns(compared: Sequence[Side], durability: Durability, plan: Plan) -> Rates:
    say(f'turns, {GOAL_LEVEL} at once, durability "{durability}"')
    each = plan.turns // GOAL_LEVEL
    without = Side("no checkpoints", None, bare_thread)
    return await in_turn(
        [*compared, without], plan.rounds, lambda side: turns(side, GOAL_LEVEL, each, durability)
    )


async def in_turn(compared: Sequence[Side], rounds: int, work: Callable[[Side], Awaitable[Rate]]) -> Rates:
    """Each side in each round, so that all meet the same machine. The first round only warms up."""
    rates: Rates = {side.name: [] for side in compared}
    for number in range(rounds + 1):
        for side in compared:
            rate = await work(side)
            if number:
                rates[side.name].append(rate)
    return rates


def show(title: str, rates: Rates) -> dict[str, object]:
    """Print a series, medians of the rounds; return it for JSON."""
    say(f"\n{title}")
    rows = [_row(name, rates) for name in rates]
    table(("", "per second", "ours", "CPU of the client", "ours"), rows)
    return {
        "title": title,
        "rates": {name: [(one.per_second, one.cpu_seconds) for one in of] for name, of in rates.items()},
    }


def _row(name: str, rates: Rates) -> list[str]:
    faster, cheaper = compare(rates, name)
    return [
        name,
        f"{median(one.per_second for one in rates[name]):.0f}",
        f"x {faster:.2f}",
        f"{median(one.cpu_seconds for one in rates[name]) * 1e6:.0f} us",
        f"/ {cheaper:.2f}",
    ]


def compare(rates: Rates, other: str) -> tuple[float, float]:
    """How many times as fast ours is, and in how many of its CPU time; medians of the rounds' ratios."""
    pairs = list(zip(rates[OURS], rates[other], strict=True))
    faster = median(ours.per_second / theirs.per_second for ours, theirs in pairs)
    return faster, median(theirs.cpu_seconds / ours.cpu_seconds for ours, theirs in pairs)


def judge(rates: Rates) -> dict[str, str]:
    """Print and return whether the goals are reached against each of the others."""
    goals = {}
    for name in rates:
        if name == OURS:
            continue
        for what, ratio in zip(("operations per second", "CPU time"), compare(rates, name), strict=True):
            reached = verdict(GOAL, ratio)
            goal = "at least" if what.startswith("operations") else "one in at least"
            say(f"  goal, {what} beside {name}, {goal} {GOAL:.0f}: {ratio:.2f}, {reached}")
            goals[f"{what}, {name}"] = reached
    return goals


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.saver", description=__doc__)
    parser.add_argument("--rounds", type=count, default=3, help="of each side in turn (3)")
    parser.add_argument("--quick", action="store_true", help="only show that it runs")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    uvloop.run(run(QUICK if arguments.quick else Plan(arguments.rounds), arguments.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
