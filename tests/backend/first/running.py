"""The backend on a free port: in this process, or as users start it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from backend.app import create_app
from backend.parts import Parts, Tools, opened
from backend.passwords import hashed
from backend.serving import serving
from backend.settings import Settings, User
from tests.backend.first.reading import PASSWORD, TOKENS, digest_of

ROOT = Path(__file__).resolve().parents[3]
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
EVERYBODY = {
    "USE_GRPC_ORCHESTRATOR": "true",
    "GRPC_ORCHESTRATOR_PERCENTAGE": "100",
    "USE_GRPC_TOOL_SERVICE": "true",
}
NOBODY: dict[str, str] = {}


def users() -> dict[str, User]:
    """Ann and Bob, and Root, who administers; Ann has a password too."""
    return {
        name: User(
            tokens=(digest_of(name),),
            administrator=name == "root",
            password=SecretStr(hashed(PASSWORD) if name == "ann" else ""),
        )
        for name in TOKENS
    }


def settings_of(target: str = "127.0.0.1:1", **groups: Mapping[str, Any]) -> Settings:
    """Settings of a test; `groups` change them."""
    values: dict[str, Any] = {
        "users": users(),
        "server": {"address": "127.0.0.1:0", "drain_seconds": 1.0},
        "session": {"secure": False},
        "orchestrator": {"target": target},
        "tool_service": {"address": "127.0.0.1:0"},
    }
    for name, group in groups.items():
        values[name] = {**values.get(name, {}), **group}
    return Settings(**values)


class Running:
    """A backend in this process."""

    def __init__(self, address: str, parts: Parts) -> None:
        self.address = address
        self.parts = parts


@asynccontextmanager
async def running_backend(
    settings: Settings, flags: Mapping[str, str] = EVERYBODY, *, tools: Tools | None = None
) -> AsyncIterator[Running]:
    """A backend over loopback, with its flags in an environment of its own."""
    async with (
        opened(settings, flags, tools=tools) as parts,
        serving(create_app(parts), settings.server) as address,
    ):
        yield Running(address, parts)


class BackendProcess:
    """`python -m backend`."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(_STOP_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def backend_process(target: str, **environment: str) -> AsyncIterator[BackendProcess]:
    """The backend as users start it, once it serves."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend",
        cwd=ROOT,
        env=_environment(target, environment),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode().strip()
        assert line.startswith("serving on "), line
        yield BackendProcess(process, line.removeprefix("serving on "))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(target: str, more: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    table = {name: {"tokens": [digest_of(name)], "administrator": name == "root"} for name in TOKENS}
    return {
        **kept,
        "PYTHONPATH": "client",
        "BACKEND_USERS": json.dumps(table),
        "BACKEND_SERVER__ADDRESS": "127.0.0.1:0",
        "BACKEND_SESSION__SECURE": "false",
        "BACKEND_ORCHESTRATOR__TARGET": target,
        **EVERYBODY,
        **more,
    }
