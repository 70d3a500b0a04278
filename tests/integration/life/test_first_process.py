"""The first process of a container, which the kernel protects from every signal that it does not handle."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tests.fakes.embedded_postgres import passable_folder, processes_of
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import ROOT, OrchestratorProcess
from tests.harness.service import text_of
from tests.integration.life.callers import begun
from tests.integration.life.kin import child_of, children_of, survivors

UNSHARE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


@pytest.fixture
def namespaces() -> None:
    """Skips where a process may not be given process ids of its own."""
    try:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if tried.returncode:
        pytest.skip(f"no namespace of process ids: {tried.stderr.strip()}")


@asynccontextmanager
async def first_process(folder: Path, **environment: str) -> AsyncIterator[OrchestratorProcess]:
    """`main.py` as process 1, once it serves. Its id outside is not this process's own: that is unshare."""
    address = {"ORCHESTRATOR_SERVER__ADDRESS": "127.0.0.1:0"}
    started = await asyncio.create_subprocess_exec(
        *(*UNSHARE, sys.executable, str(ROOT / "main.py")),
        cwd=folder,
        env={"PATH": os.environ["PATH"], **address, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    process = OrchestratorProcess(started)
    try:
        await process.serving()
        yield process
    finally:
        if started.returncode is None:
            await process.kill()


@pytest.mark.usefixtures("namespaces")
async def test_sigterm_ends_it_as_process_1_with_its_own_postgres(provider: ScriptedProvider) -> None:
    with passable_folder() as folder:
        async with first_process(folder, OPENAI_BASE_URL=provider.base_url) as process:
            first = await child_of(process.pid, lambda _: True)
            async with grpc.aio.insecure_channel(process.address) as channel:
                (caller,) = await begun(channel, 1)
                await caller.finish()
            assert text_of(caller.chunks)
            family = children_of(process.pid)
            assert processes_of(folder) != []
            first.send_signal(signal.SIGTERM)
            async with asyncio.timeout(3):
                assert await process.exit_code() == 0
        assert await survivors(family) == []
        assert processes_of(folder) == []
