"""A Prometheus of the test's own, and what it says; deploy/install_prometheus.sh installs the program."""

import asyncio
import math
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.harness.metrics import free_address

_START_SECONDS = 20.0
_SCRAPES = 2
"""The first one may have begun before."""


def missing() -> str:
    """Why nothing can be asked of Prometheus here; empty when it can. With CI set nothing may be missing."""
    absent = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    if not absent:
        return ""
    reason = (
        f"{' and '.join(absent)} not found: deploy/install_prometheus.sh installs them on Debian, as root"
    )
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    return reason


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running one."""

    address: str
    session: aiohttp.ClientSession

    async def data(self, path: str, **parameters: str) -> Any:
        """What its API answers.

        Raises:
            AssertionError: It refuses, as it does a query that cannot be read.
        """
        url = f"http://{self.address}/api/v1/{path}"
        async with self.session.get(url, params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    async def values(self, query: str) -> list[float]:
        """The values of a query now; what is not a number is left out."""
        found = await self.data("query", query=query)
        values = [float(sample["value"][1]) for sample in found["result"]]
        return [value for value in values if not math.isnan(value)]

    async def scraped(self, targets: int) -> None:
        """Return when all that has happened was scraped from each of so many targets."""
        counted = "sum_over_time(up[1h])"
        before = await self.values(counted)
        least = (min(before) if len(before) == targets else 0) + _SCRAPES
        async with asyncio.timeout(_START_SECONDS):
            while True:
                values = await self.values(counted)
                if len(values) == targets and min(values) >= least:
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def prometheus(
    folder: Path, jobs: Mapping[str, Sequence[str]], rules: Path, *, interval: str = "400ms"
) -> AsyncIterator[Prometheus]:
    """One that scrapes these addresses by job and evaluates `rules`, its data in `folder`."""
    address = free_address()
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            await _ready(process, address, session, (folder / "prometheus.log").read_text)
            yield Prometheus(address, session)
    finally:
        if process.returncode is None:
            process.kill()  # its data goes with it
        await process.wait()


async def _ready(
    process: asyncio.subprocess.Process,
    address: str,
    session: aiohttp.ClientSession,
    log: Callable[[], str],
) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            assert process.returncode is None, log()
            try:
                async with session.get(f"http://{address}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0.05)
