"""`python -m bench.tools`: what calling a tool costs through the gateway, beside a plain call of the stub."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import uvloop

from bench.report import count, load_line, percentile, say, table, verdict, write_json
from protos import tool_service_pb2 as pb
from protos import tool_service_pb2_grpc as rpc
from tests.fakes.tool_service.process import tool_service_process
from tests.fakes.tool_service.service import OWN_TIME
from tests.harness.tools import Told, context, options
from tools.gateway.gateway import ToolGateway

GOALS = {50: 0.001, 99: 0.005}
"""Seconds that a call takes at most, gRPC included and the handler's own time not, by percentile."""

EVERY_SECONDS = 0.01
_WARM = 50
ARGUMENTS: dict[str, Any] = {"query": "the sea", "limit": 5}

Call = Callable[[], Awaitable[object]]


async def open_loop(call: Call, calls: int) -> list[float]:
    """Seconds from when each call was due until it was answered; they are due in a fixed rhythm."""
    measured: list[float] = []
    began = perf_counter() + EVERY_SECONDS

    async def one(due: float) -> None:
        await asyncio.sleep(due - perf_counter())
        woken = max(due, perf_counter())  # a timer that rings late is no part of the call
        await call()
        measured.append(perf_counter() - woken)

    await asyncio.gather(*(one(began + number * EVERY_SECONDS) for number in range(calls)))
    return measured


async def sides(address: str, rounds: int, calls: int) -> tuple[dict[str, list[float]], float]:
    """Both sides in turn, so that they meet the same machine; and what the handler itself takes, at least."""
    own: list[float] = []
    async with ToolGateway(options(address)) as gateway, grpc.aio.insecure_channel(address) as channel:
        stub = rpc.ToolServiceStub(channel)
        request = pb.SearchRequest(user_id="ann", **ARGUMENTS)
        tool = gateway.tool("search_documents")

        async def through() -> None:
            outcome = await gateway.call(tool, ARGUMENTS, context(), Told())
            assert outcome.ok, outcome

        async def plain() -> None:
            call = stub.SearchDocuments(request, timeout=10)
            await call
            own.append(_own_time(await call.trailing_metadata()))

        ways: dict[str, Call] = {"plain stub": plain, "gateway": through}
        measured: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, call in ways.items():
                seconds = await open_loop(call, calls if number else min(calls, _WARM))
                measured[name] += seconds if number else []
        return measured, min(own)


def _own_time(metadata: Iterable[tuple[str, str | bytes]]) -> float:
    return int(dict(metadata)[OWN_TIME]) / 1e9


async def run(rounds: int, calls: int, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    async with tool_service_process() as backend:
        measured, own = await sides(backend.address, rounds, calls)
    after = os.getloadavg()
    say(f"search_documents, due every {EVERY_SECONDS * 1000:.0f} ms, of a backend in a process of its own\n")
    table(
        ("", "p50", "p99", "calls"),
        [
            [name, *(_microseconds(percentile(values, part)) for part in GOALS), str(len(values))]
            for name, values in measured.items()
        ],
    )
    reached = {part: percentile(measured["gateway"], part) - own for part in GOALS}
    added = {part: reached[part] + own - percentile(measured["plain stub"], part) for part in GOALS}
    say(f"  the handler itself takes {_microseconds(own)}, which is not counted")
    for part, goal in GOALS.items():
        say(
            f"  goal, p{part} at most {_microseconds(goal)}: {_microseconds(reached[part])}, "
            f"{_microseconds(added[part])} more than the stub alone, {verdict(reached[part], goal)}"
        )
    say(f"\n{load_line(before, after)}")
    goals = {f"p{part}": verdict(reached[part], goal) for part, goal in GOALS.items()}
    write_json(json, {"load_before": before, "load_after": after, "goals": goals, "seconds": measured})


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.tools", description=__doc__)
    parser.add_argument("--calls", type=count, default=500, help="of each side in a round (500)")
    parser.add_argument("--rounds", type=count, default=3, help="of each side in turn (3)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.rounds, arguments.calls, arguments.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
