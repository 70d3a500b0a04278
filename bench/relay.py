"""`python -m bench.relay`: one provider behind us and behind our peers, side by side in one run, per core."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from bench.closed_loop import Load, Window, closed_loop
from bench.peers.sides import DIRECT, OURS, SIDES, installed
from bench.relay_report import Rounds, show
from bench.report import count, load_line, say, write_json
from bench.usage import Footprint, Processors
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

TOKEN = " t{:03}"
"""All of one length, so that tokens can be counted by their characters; no two alike, as a model's are."""
INTERVAL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: answers of so many tokens, in so many streams, on each side once in each round."""

    sides: Sequence[str]
    streams: int
    tokens: int
    seconds: float
    rounds: int

    @property
    def script(self) -> Script:
        """How the provider answers every call."""
        tokens = tuple(TOKEN.format(number) for number in range(self.tokens))
        return Script(tokens=tokens, first_token_delay=INTERVAL_SECONDS, token_interval=INTERVAL_SECONDS)

    @property
    def load(self) -> Load:
        """What each side is put under."""
        return Load(self.streams, self.tokens, INTERVAL_SECONDS, len(TOKEN.format(0)), self.seconds)


async def run(plan: Plan, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before, processors = os.getloadavg(), Processors.divided()
    measured: Rounds = {name: [] for name in plan.sides}
    async with scripted_provider_process() as provider:
        for number in range(plan.rounds):
            # In turn forwards and backwards: a machine that gets slower slows nobody alone.
            for name in plan.sides if number % 2 == 0 else reversed(plan.sides):
                say(f"round {number + 1} of {plan.rounds}: {name}")
                measured[name].append(await _measure(plan, name, provider, processors))
    after = os.getloadavg()
    results = show(measured, plan.load, apart=processors.are_apart)
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "processors": os.cpu_count(), **results})


async def _measure(plan: Plan, name: str, provider: ControlClient, processors: Processors) -> Window:
    await provider.reset()
    await provider.set_default(plan.script)
    async with SIDES[name](provider.base_url) as side:
        footprint = Footprint(side.pid, side.folder, provider_pid())
        footprint.pin(processors)
        window = await closed_loop(plan.load, side.ask, footprint.spent)
    await _demand_whole(name, window, plan.script, provider)
    return window


def provider_pid() -> int:
    """The scripted provider: a child of this process, as the sides' servers are."""
    return next(
        child.pid
        for child in psutil.Process().children()
        if "tests.fakes.scripted_provider" in child.cmdline()
    )


async def _demand_whole(name: str, window: Window, script: Script, provider: ControlClient) -> None:
    """Raises: RuntimeError: An answer is not the provider's, or a call was repeated or left out."""
    answer = "".join(script.tokens or ())
    if any(call.answer != answer for call in window.calls):
        raise RuntimeError(f"{name}: an answer is not what the provider said")
    outcomes = Counter(call.outcome for call in await provider.ledger(ended=len(window.calls)))
    if outcomes != {Outcome.COMPLETED: len(window.calls)}:
        raise RuntimeError(f"{name}: {len(window.calls)} requests, but the provider's calls are {outcomes}")


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.relay", description=__doc__)
    there = tuple(filter(installed, SIDES))
    parser.add_argument(
        "--sides", type=chosen_sides, default=there, help=f"of {', '.join(SIDES)} (all that are installed)"
    )
    parser.add_argument("--streams", type=count, default=16, help="at the same time (16)")
    parser.add_argument("--tokens", type=count, default=100, help="of an answer, 50 a second (100)")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured on each side in each round (8)")
    parser.add_argument("--rounds", type=count, default=2, help="every second one in reversed order (2)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    if missing := [name for name in arguments.sides if not installed(name)]:
        parser.error(f"not installed: {', '.join(missing)}; make peers installs them")
    json = arguments.__dict__.pop("json")
    uvloop.run(run(Plan(**vars(arguments)), json))
    return 0


def chosen_sides(text: str) -> tuple[str, ...]:
    """Names on a command line."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := set(names) - set(SIDES):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    if not {DIRECT, OURS} <= set(names):
        raise argparse.ArgumentTypeError(f"{DIRECT} and {OURS} are always needed")
    return names


if __name__ == "__main__":
    sys.exit(main())
