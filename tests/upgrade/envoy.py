"""Envoy as deploy/envoy/envoy.yaml configures it, in front of replicas of a test."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.envoy_at import envoy_at
from state.embedded.launch import free_port

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


@dataclass
class Envoy:
    """`address`: where callers go. `log`: what it says of each call, as the configuration's access log."""

    address: str
    admin: str
    log: list[dict[str, Any]]

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The calls that it did not end well, which a client then has to make good."""
        return [line for line in self.log if line["status"] != "OK"]

    async def healthy(self, replicas: int) -> None:
        """Return when it sends calls to so many."""
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
            while await self._healthy(session) != replicas:  # noqa: ASYNC110 - another process knows
                await asyncio.sleep(0.05)

    async def _healthy(self, session: aiohttp.ClientSession) -> int:
        with suppress(aiohttp.ClientConnectionError):
            async with session.get(f"http://{self.admin}/clusters?format=json") as answer:
                clusters = (await answer.json(content_type=None)).get("cluster_statuses", [])
                hosts = [h for c in clusters if c["name"] == "orchestrator" for h in c["host_statuses"]]
                return sum(host["health_status"] == {"eds_health_status": "HEALTHY"} for host in hosts)
        return 0


@asynccontextmanager
async def envoy(folder: Path, replicas: Sequence[str]) -> AsyncIterator[Envoy]:
    """Running in front of these addresses, all of which it has found healthy."""
    made = Envoy(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", [])
    path = folder / "envoy.yaml"
    path.write_text(envoy_at(made.address, replicas, admin=made.admin))
    process = await asyncio.create_subprocess_exec(
        *(program(), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "-l", "error"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    reading = asyncio.create_task(_read(process.stdout, made.log), name="read-envoy")
    try:
        await made.healthy(len(replicas))
        yield made
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
        await reading


def program() -> str:
    """The one of this environment, else the machine's."""
    beside = Path(sys.executable).parent / "envoy"
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        pytest.fail("envoy is missing: install requirements-dev.txt")
    return found


async def _read(stream: asyncio.StreamReader, log: list[dict[str, Any]]) -> None:
    async for line in stream:
        log.append(json.loads(line))
