"""The parts of `python -m bench`: which benches, at which size, and how one is run within a time."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from bench.peers import environments
from bench.peers.sides import DIRECT, OURS, SIDES, installed
from bench.report import PERCENTILES, percentile
from bench.task_sides import DBOS, PGQUEUER
from tests.harness.process import ROOT

_LONGEST_LIST = 60
"""Of numbers that are kept one by one: of more, the percentiles are."""
_STOP_SECONDS = 20.0

Arguments = Sequence[str]


@dataclass(frozen=True, slots=True)
class Part:
    """`python -m bench.<name>`, with arguments by size, for at most `seconds`."""

    name: str
    title: str
    seconds: float
    arguments: Mapping[str, Arguments] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


QUICK, NORMAL, FULL = "quick", "normal", "full"
"""Shows that it runs; what `make bench` takes; more of everything."""

PARTS = (
    Part(
        "streams",
        "streams beside the peers",
        600,
        {
            QUICK: [
                "--levels",
                "1,2",
                "--tokens",
                "10",
                "--seconds",
                "0.5",
                "--rounds",
                "1",
                "--steps",
                "1",
                "--most",
                "4",
            ],
            FULL: ("--seconds", "10", "--rounds", "4", "--steps", "8"),
        },
    ),
    Part(
        "growth",
        "what grows",
        240,
        {
            QUICK: ["--events", "4", "--queued", "3", "--calls", "5", "--turns", "3", "--fill-seconds", "10"],
            FULL: ["--calls", "1000", "--turns", "1000", "--fill-seconds", "600"],
        },
    ),
    Part(
        "tasks",
        "tasks beside a queue and durable workflows",
        180,
        {
            QUICK: ["--calls", "5", "--burst", "10", "--rounds", "1"],
            NORMAL: ["--calls", "100", "--burst", "500", "--rounds", "1"],
        },
    ),
    Part("startup", "from start to serving", 90, {QUICK: ("--starts", "1"), NORMAL: ("--starts", "3")}),
    Part("saver", "checkpoints", 120, {QUICK: ("--quick",), NORMAL: ("--rounds", "1")}),
    Part(
        "tools",
        "a call of a tool",
        60,
        {QUICK: ["--calls", "10", "--rounds", "1"], NORMAL: ["--calls", "300", "--rounds", "2"]},
    ),
    Part(
        "instrumentation",
        "what watching costs",
        90,
        {
            QUICK: ["--streams", "1", "--tokens", "5", "--seconds", "0.3", "--rounds", "1"],
            NORMAL: ["--seconds", "6", "--rounds", "2"],
        },
    ),
    Part(
        "backend",
        "through the reference backend",
        90,
        {QUICK: ["--calls", "3", "--callers", "1"], NORMAL: ["--calls", "60"]},
        {"PYTHONPATH": "client"},
    ),
)


def arguments_of(part: Part, size: str) -> Arguments:
    """Those of a size, with the peers that are installed; a quick run has none."""
    given = [*part.arguments.get(size, ())]
    sides: list[str] = []
    if part.name == "streams":
        sides = [n for n in SIDES if n in (DIRECT, OURS) or (size != QUICK and installed(n))]
    if part.name == "tasks":
        sides = [OURS, *(n for n in (PGQUEUER, DBOS) if size != QUICK and environments.installed(n))]
    return [*given, "--sides", ",".join(sides)] if sides else given


async def run_part(part: Part, given: Arguments, seconds: float, folder: Path) -> dict[str, Any]:
    """Its `seconds`, and its `results`, or the `error` that kept it from any."""
    written = folder / f"{part.name}.json"
    began = monotonic()
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", f"bench.{part.name}", *given, "--json", str(written)],
        cwd=ROOT,
        env={**os.environ, **part.environment},
    )
    error = await _end_of(process, seconds)
    found: dict[str, Any] = {"arguments": list(given), "seconds": monotonic() - began}
    if error or not written.exists():
        return found | {"error": error or "it has written no results"}
    return found | {"results": distilled(orjson.loads(written.read_bytes()))}


async def _end_of(process: asyncio.subprocess.Process, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
        return f"exit code {code}" if code else ""
    except TimeoutError:
        return f"stopped after {seconds:.3g} s"
    finally:
        if process.returncode is None:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)  # the one it cleans up after
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def distilled(value: Any) -> Any:
    """The same with percentiles in place of long lists of numbers."""
    if isinstance(value, dict):
        return {name: distilled(one) for name, one in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > _LONGEST_LIST and all(isinstance(one, int | float) for one in value):
        return {"count": len(value)} | {f"p{part}": percentile(value, part) for part in PERCENTILES}
    return [distilled(one) for one in value]
