"""`python -m bench.first_token`: the time to the first token directly and through the service, in one run."""

import argparse
import math
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import uvloop

from bench.askers import CALL_SECONDS, DirectAsker, ServiceAsker
from bench.processes import service_process
from bench.report import count, load_line, milliseconds, say, table, verdict, write_json
from bench.series import SIDES, Plan, Series, measure
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

GOAL_SECONDS = 0.010
SCRIPT = Script(tokens=(" token",) * 10, first_token_delay=0.02, token_interval=0.02)
_ANSWER_SECONDS = 0.2
_TURNS = 20
_IN_A_ROW = 3
_MOST_CALLERS = 64
_MORE_CALLS = 4
"""So many times the calls when several callers ask: they are done sooner, and their times differ more."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is measured, and the way to both sides of it."""

    provider: ControlClient
    session: aiohttp.ClientSession
    stub: "rpc.OrchestratorServiceAsyncStub"

    async def series(self, plan: Plan, *, remembers: bool = False) -> Series:
        """Measure a plan; with `remembers` all its calls on a side are one conversation."""
        say(f"{plan.name}: {plan.calls} calls on each side")
        direct = DirectAsker(self.session, self.provider.base_url, remembers=remembers)
        return await measure(plan, direct, ServiceAsker(self.stub, remembers=remembers))


@asynccontextmanager
async def started() -> AsyncIterator[Bench]:
    """The scripted provider and the service, each a process, and clients of both."""
    with passable_folder() as folder:
        async with scripted_provider_process() as provider:
            await provider.set_default(SCRIPT)
            async with (
                service_process(folder, provider.base_url) as process,
                grpc.aio.insecure_channel(process.address) as channel,
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session,
            ):
                yield Bench(provider, session, rpc.OrchestratorServiceStub(channel))


async def run(calls: int, levels: Sequence[int], json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    say("starting the provider and the service")
    async with started() as bench:
        await bench.series(Plan("warming up", 1, callers=8, spread=_ANSWER_SECONDS))
        measured = [await bench.series(_plan(callers, calls)) for callers in levels]
        growing = Plan("a growing conversation, 1 caller", min(_TURNS, calls))
        measured.append(await bench.series(growing, remembers=True))
        arrivals = {
            call.body["messages"][-1]["content"]: call.arrived_at for call in await bench.provider.ledger()
        }
    results = [show(series, series.stages(arrivals, SCRIPT.first_token_delay)) for series in measured]
    after = os.getloadavg()
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "series": results})


def _plan(callers: int, calls: int) -> Plan:
    if callers == 1:
        return Plan("new conversations, 1 caller", calls)
    rounds = math.ceil(calls * _MORE_CALLS / callers / _IN_A_ROW)
    return Plan(f"new conversations, {callers} callers", rounds, callers, _IN_A_ROW, _ANSWER_SECONDS)


def show(series: Series, stages: dict[str, tuple[float, float]]) -> dict[str, object]:
    """Print a series, both sides beside each other; return it for JSON."""
    added, first_token = series.added(), series.first_token()
    reached = verdict(added, GOAL_SECONDS)
    say(f"\n{series.plan.name}: time to the first token of {series.plan.calls} calls on each side")
    headers = ("", *SIDES, "added", "ratio")
    rows = [[*_row(name, *pair), f"{pair[1] / pair[0]:.2f}"] for name, pair in first_token.items()]
    rows += [[*_row(f"p50 {name}", *pair), ""] for name, pair in stages.items()]
    table(headers, rows)
    say(f"  goal, added p50 at most {milliseconds(GOAL_SECONDS)}: {milliseconds(added)}, {reached}")
    return {
        "name": series.plan.name,
        "calls": series.plan.calls,
        "first_token_seconds": first_token,
        "stage_p50_seconds": stages,
        "added_p50_seconds": added,
        "goal_seconds": GOAL_SECONDS,
        "verdict": reached,
    }


def _row(name: str, direct: float, through: float) -> list[str]:
    return [name, *map(milliseconds, (direct, through, through - direct))]


def main() -> int:
    """Exit code 0 when it ran, whether or not the goal is reached."""
    parser = argparse.ArgumentParser(prog="bench.first_token", description=__doc__)
    parser.add_argument("--calls", type=count, default=30, help="on each side with one caller (30)")
    parser.add_argument("--concurrency", type=_levels, default=(1, 16), help="callers at once (1,16)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.calls, arguments.concurrency, arguments.json))
    return 0


def _levels(text: str) -> tuple[int, ...]:
    levels = tuple(dict.fromkeys(count(part) for part in text.split(",")))
    if max(levels) > _MOST_CALLERS:
        raise argparse.ArgumentTypeError(f"at most {_MOST_CALLERS} callers")
    return levels


if __name__ == "__main__":
    sys.exit(main())
