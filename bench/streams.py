"""`python -m bench.streams`: the same answers in more and more streams, beside our peers, per core.

Open loop: answers are asked for in a fixed rhythm, however slow those before them are.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.closed_loop import Load, Window
from bench.open_loop import FAILURES, WARM_ANSWERS, open_loop
from bench.peers.sides import DIRECT, SIDES, Side, installed
from bench.relay import INTERVAL_SECONDS, TOKEN, chosen_sides, provider_pid
from bench.report import count, load_line, say, write_json
from bench.search import Search
from bench.streams_points import Carried, Measured, Point, point
from bench.streams_report import show
from bench.usage import Footprint, Processors
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

ALONE_TOKENS = 10
"""Of an answer to one stream alone: many short answers say more about the first token than few long ones."""
_LEVELS = (1, 16, 64, 130, 256)
"""130 because a goal says so."""
_SHORT = Script(tokens=("Yes.",))
_SETTLING_CALLS = 10
SATURATED = 0.8
"""A side that delivers less of what it was asked for is put under no higher load."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `steps`: of the search for the most streams, for each side; 0 = no search."""

    sides: Sequence[str]
    levels: Sequence[int]
    tokens: int
    seconds: float
    rounds: int
    steps: int
    most: int

    def load(self, streams: int) -> Load:
        tokens = min(ALONE_TOKENS, self.tokens) if streams == 1 else self.tokens
        return Load(streams, tokens, INTERVAL_SECONDS, len(TOKEN.format(0)), self.seconds)


class Bench:
    """The provider, and what has been measured behind it."""

    def __init__(self, plan: Plan, provider: ControlClient) -> None:
        self.processors = Processors.divided()
        self.measured: Measured = {name: {level: [] for level in plan.levels} for name in plan.sides}
        self.idle: dict[str, int] = {}
        self.carried: dict[str, Carried] = {}
        self._plan = plan
        self._provider = provider

    async def side(self, name: str, *, search: bool) -> None:
        """One round of a side: each level once, the lowest first, then the search."""
        async with SIDES[name](self._provider.base_url) as side:
            footprint = Footprint(side.pid, side.folder, provider_pid())
            footprint.pin(self.processors)
            self.idle.setdefault(name, footprint.memory())
            for level in self._plan.levels:
                one = await self._window(side, footprint, level)
                self.measured[name][level].append(one)
                if point([one], self._plan.load(level)).delivered < SATURATED:
                    say(f"  {name} is saturated at {level} streams")
                    break
            if search:
                self.carried[name] = await self._search(name, side, footprint)

    async def _search(self, name: str, side: Side, footprint: Footprint) -> Carried:
        known = {level: self._point(name, level) for level in self._plan.levels if self.measured[name][level]}
        search = Search(known={level: one.is_carried for level, one in known.items()}, most=self._plan.most)
        for _ in range(self._plan.steps):
            level = search.next()
            if level is None:
                break
            one = point([await self._window(side, footprint, level)], self._plan.load(level))
            say(f"  {level} streams: {'carried' if one.is_carried else 'not carried'}")
            known[level] = one
            search.tell(level, carried=one.is_carried)
        return Carried(search.carried, search.failed, known)

    def _point(self, name: str, level: int) -> Point:
        return point(self.measured[name][level], self._plan.load(level))

    async def _window(self, side: Side, footprint: Footprint, level: int) -> Window:
        load = self._plan.load(level)
        say(f"  {level} streams")
        tokens = tuple(TOKEN.format(number) for number in range(load.tokens))
        script = Script(tokens=tokens, first_token_delay=INTERVAL_SECONDS, token_interval=INTERVAL_SECONDS)
        await self._settle(side)
        await self._provider.reset()
        await self._provider.set_default(script)
        window = await open_loop(load, side.ask, footprint)
        if not all("".join(tokens).startswith(call.answer) for call in window.calls):
            raise RuntimeError("an answer is not what the provider said")
        return window

    async def _settle(self, side: Side) -> None:
        """Short calls one after the other: a new server is warm then, and a full one has done its work."""
        await self._provider.reset()
        await self._provider.set_default(_SHORT)
        for _ in range(_SETTLING_CALLS):
            with suppress(*FAILURES):  # one that fails is none of those that count
                await side.ask("are you there?")


async def run(plan: Plan, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    async with scripted_provider_process() as provider:
        bench = Bench(plan, provider)
        for number in range(plan.rounds):
            last = number == plan.rounds - 1
            # In turn forwards and backwards: a machine that gets slower slows nobody alone.
            for name in plan.sides if number % 2 == 0 else reversed(plan.sides):
                say(f"round {number + 1} of {plan.rounds}: {name}")
                await bench.side(name, search=last and plan.steps > 0 and name != DIRECT)
    skipped = {name: _why_not(name) for name in SIDES if name not in plan.sides}
    for name, reason in skipped.items():
        say(f"{name} is left out: {reason}")
    say(f"an answer of {plan.tokens} tokens, 50 a second; {WARM_ANSWERS} answers' time to warm up")
    results = show(bench.measured, plan.load, bench.idle, bench.carried, apart=bench.processors.are_apart)
    after = os.getloadavg()
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "skipped": skipped, **results})


def _why_not(name: str) -> str:
    return "not asked for" if installed(name) else "make peers has not installed it"


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.streams", description=__doc__)
    there = tuple(filter(installed, SIDES))
    parser.add_argument(
        "--sides", type=chosen_sides, default=there, help=f"of {', '.join(SIDES)} (all that are installed)"
    )
    parser.add_argument("--levels", type=_levels, default=_LEVELS, help="streams (1,16,64,130,256)")
    parser.add_argument("--tokens", type=count, default=100, help="of an answer, 50 a second (100)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each window (4)")
    parser.add_argument("--rounds", type=count, default=2, help="every second one in reversed order (2)")
    parser.add_argument("--steps", type=int, default=4, help="of the search for the most streams (4)")
    parser.add_argument("--most", type=count, default=512, help="streams that the search tries (512)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    if missing := [name for name in arguments.sides if not installed(name)]:
        parser.error(f"not installed: {', '.join(missing)}; make peers installs them")
    json = arguments.__dict__.pop("json")
    uvloop.run(run(Plan(**vars(arguments)), json))
    return 0


def _levels(text: str) -> tuple[int, ...]:
    return tuple(sorted({count(part) for part in text.split(",")}))


if __name__ == "__main__":
    sys.exit(main())
