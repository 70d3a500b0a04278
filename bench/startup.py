"""`python -m bench.startup`: the time from starting the process to SERVING, and the share of importing."""

import argparse
import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from time import monotonic

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from bench.processes import service_process
from bench.report import count, load_line, say, table, verdict, write_json
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.harness.process import ROOT

GOAL_SECONDS = 3.0
SERVICE = "orchestrator.OrchestratorService"
_SERVING_SECONDS = 30.0
_IMPORT_SECONDS = 60.0
_SHOWN_PACKAGES = 6


async def start_once(folder: Path, provider_url: str) -> float:
    """Seconds from starting the process to SERVING; stops it again."""
    began = monotonic()
    async with (
        service_process(folder, provider_url) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        await _serving(channel)
        return monotonic() - began


async def _serving(channel: grpc.aio.Channel) -> None:
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    call = watch(HealthCheckRequest(service=SERVICE), timeout=_SERVING_SECONDS)
    async for answer in call:
        if answer.status == HealthCheckResponse.SERVING:
            call.cancel()
            return
    raise RuntimeError("the service ended its health stream without serving")


async def imports() -> tuple[float, dict[str, float]]:
    """Seconds that `import main` takes in a process of its own, and each package's own share of them."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-c", "import main", cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_IMPORT_SECONDS):
            _, printed = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError("`import main` fails")
    return _parsed(printed.decode())


def _parsed(printed: str) -> tuple[float, dict[str, float]]:
    packages: Counter[str] = Counter()
    total = 0
    for line in printed.splitlines():
        own, cumulative, module = line.removeprefix("import time:").split("|")
        if own.strip().isdecimal():
            packages[module.strip().partition(".")[0]] += int(own)
            total = int(cumulative)  # the last line is that of `main`
    return total / 1e6, {name: spent / 1e6 for name, spent in packages.most_common(_SHOWN_PACKAGES)}


async def run(starts: int, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    with passable_folder() as folder:
        async with scripted_provider_process() as provider:
            say("cold start, in an empty folder")
            cold = await start_once(folder, provider.base_url)
            say("a warm start that does not count")
            await start_once(folder, provider.base_url)
            say(f"warm starts: {starts}")
            warm = [await start_once(folder, provider.base_url) for _ in range(starts)]
    say("importing")
    importing, packages = await imports()
    reached = verdict(median(warm), GOAL_SECONDS)
    after = os.getloadavg()
    _show(cold, warm, importing, packages)
    say(f"  goal, warm median at most {GOAL_SECONDS:.0f} s: {median(warm):.2f} s, {reached}")
    say(f"\n{load_line(before, after)}")
    results = {"cold_seconds": cold, "warm_seconds": warm, "goal_seconds": GOAL_SECONDS, "verdict": reached}
    results |= {"import_seconds": importing, "import_seconds_by_package": packages}
    write_json(json, {"load_before": before, "load_after": after, **results})


def _show(cold: float, warm: list[float], importing: float, packages: dict[str, float]) -> None:
    say("\nfrom starting the process to SERVING")
    headers = ("", "cold", "warm median", "warm fastest", "warm slowest")
    values = (cold, median(warm), min(warm), max(warm))
    table(headers, [["seconds", *(f"{value:.2f}" for value in values)]])
    shares = ", ".join(f"{name} {spent:.2f}" for name, spent in packages.items())
    say(f"  importing alone, timed by -X importtime: {importing:.2f} s; own share of packages: {shares}")


def main() -> int:
    """Exit code 0 when it ran, whether or not the goal is reached."""
    parser = argparse.ArgumentParser(prog="bench.startup", description=__doc__)
    parser.add_argument("--starts", type=count, default=5, help="warm starts that count (5)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    # Not uvloop, which starts processes by fork: gRPC logs a line about each one.
    asyncio.run(run(arguments.starts, arguments.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
