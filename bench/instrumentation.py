"""`python -m bench.instrumentation`: what metrics and traces cost a stream, on and off in one run.

The same service three times, each a process of its own with its own Postgres, all on the same processor:
without either, with metrics, and with metrics and traces that a collector takes. All get the same load at the
same time, so that the kernel takes them in turn, and what else the machine does slows all of them alike.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import grpc
import uvloop

from bench.askers import ServiceAsker
from bench.closed_loop import Load, Window, closed_loop
from bench.peers.sides import Side
from bench.processes import service_process
from bench.relay import INTERVAL_SECONDS, TOKEN, provider_pid
from bench.report import count, load_line, say, table, verdict, write_json
from bench.usage import Footprint, Processors
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script
from tests.harness.collector import sink

OFF, METRICS, ALL = "off", "metrics", "metrics and traces"
GOAL = 1.05
"""Of the CPU time of a token: so much at most with all of it on, as the median of the rounds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Answers of so many tokens, in so many streams on each side."""

    streams: int
    tokens: int
    seconds: float
    rounds: int

    @property
    def load(self) -> Load:
        return Load(self.streams, self.tokens, INTERVAL_SECONDS, len(TOKEN.format(0)), self.seconds)

    @property
    def script(self) -> Script:
        tokens = tuple(TOKEN.format(number) for number in range(self.tokens))
        return Script(tokens=tokens, first_token_delay=INTERVAL_SECONDS, token_interval=INTERVAL_SECONDS)


def environments(collector: str) -> Mapping[str, Mapping[str, str]]:
    """The settings of each side."""
    metrics = {"ORCHESTRATOR_METRICS__ADDRESS": "127.0.0.1:0"}
    return {
        OFF: {"ORCHESTRATOR_METRICS__ADDRESS": "off"},
        METRICS: metrics,
        ALL: {**metrics, "ORCHESTRATOR_TRACES__ENDPOINT": collector},
    }


@asynccontextmanager
async def service(provider_url: str, environment: Mapping[str, str]) -> AsyncIterator[Side]:
    """One of them."""
    with passable_folder() as folder:
        async with (
            service_process(folder, provider_url, **environment) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            yield Side(ServiceAsker(rpc.OrchestratorServiceStub(channel)), process.pid, folder)


async def run(plan: Plan, json: Path | None) -> bool:
    """Measure and print; whether the goal is reached."""
    before, processors = os.getloadavg(), Processors.divided()
    spent: dict[str, list[float]] = {OFF: [], METRICS: [], ALL: []}
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(scripted_provider_process())
        collected = await stack.enter_async_context(sink())
        await provider.set_default(plan.script)
        sides = {
            name: await stack.enter_async_context(service(provider.base_url, environment))
            for name, environment in environments(collected.endpoint).items()
        }
        for number in range(plan.rounds):
            say(f"round {number + 1} of {plan.rounds}")
            windows = await asyncio.gather(*(_loaded(plan.load, side, processors) for side in sides.values()))
            for name, window in zip(sides, windows, strict=True):
                spent[name].append(cpu_of_a_token(window))
        await collected.until(lambda: bool(collected.spans))  # they leave in batches
        spans = len(collected.spans)
    reached, results = show(spent)
    say(f"\n{spans} spans reached the collector")
    say(load_line(before, os.getloadavg()))
    write_json(json, {"spans": spans, **results})
    return reached


async def _loaded(load: Load, side: Side, processors: Processors) -> Window:
    footprint = Footprint(side.pid, side.folder, provider_pid())
    footprint.pin(processors)
    return await closed_loop(load, side.ask, footprint.spent)


def cpu_of_a_token(window: Window) -> float:
    """CPU seconds of the server."""
    return window.spent.server * len(TOKEN.format(0)) / window.characters()


def show(spent: Mapping[str, Sequence[float]]) -> tuple[bool, dict[str, object]]:
    """Print what each side took, and the ratios to the one without anything, round by round."""
    ratios = {
        name: [value / off for value, off in zip(values, spent[OFF], strict=True)]
        for name, values in spent.items()
    }
    rows = [
        [name, f"{median(values) * 1e6:.1f} us", f"{median(ratios[name]):.3f}", _range(ratios[name])]
        for name, values in spent.items()
    ]
    table(["", "CPU for a token", "to off, median", "least to most"], rows)
    found = median(ratios[ALL])
    say(f"\ngoal: all of it costs at most {GOAL:.2f} of off: {found:.3f} {verdict(found, GOAL)}")
    return found <= GOAL, {"cpu_seconds_of_a_token": dict(spent), "ratios": ratios, "ratio": found}


def _range(ratios: Sequence[float]) -> str:
    return f"{min(ratios):.3f} to {max(ratios):.3f}"


def main() -> int:
    """Exit code 0 when it ran, whether or not the goal is reached."""
    parser = argparse.ArgumentParser(prog="bench.instrumentation", description=__doc__)
    parser.add_argument("--streams", type=count, default=6, help="of each side at the same time (6)")
    parser.add_argument("--tokens", type=count, default=100, help="of an answer, 50 a second (100)")
    parser.add_argument("--seconds", type=float, default=8.0, help="measured in each round (8)")
    parser.add_argument("--rounds", type=count, default=6, help="of which the median counts (6)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    json = arguments.__dict__.pop("json")
    uvloop.run(run(Plan(**vars(arguments)), json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
