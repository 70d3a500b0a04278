"""The sides that are compared, each behind the same provider and asked by the same client."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc

from bench.askers import CALL_SECONDS, AskInto, DirectAsker, ServiceAsker
from bench.peers import aegra as aegra_server
from bench.peers import environments
from bench.processes import peer_process, service_process
from protos import orchestrator_pb2_grpc as rpc
from state.embedded.launch import free_port
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import passable_folder

DIRECT, LITELLM, AEGRA, AFTERNOON, OURS = "direct", "LiteLLM proxy", "aegra", "afternoon server", "ours"
_ENVIRONMENTS = {LITELLM: "litellm", AEGRA: aegra_server.ENVIRONMENT, AFTERNOON: "afternoon"}
_START_SECONDS = 90.0
_LISTENS = re.compile(r"^listening on (\S+)\n", re.MULTILINE)
_KEY = "sk-bench"
_PROXY = """
model_list:
  - model_name: scripted
    litellm_params: {{model: openai/scripted, api_base: "{url}", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{num_retries: 0, telemetry: false}}
"""


@dataclass(frozen=True, slots=True)
class Side:
    """How to ask it, its server's process, and the folder of the Postgres it uses; None where it has none."""

    ask: AskInto
    pid: int | None = None
    folder: Path | None = None


Started = Callable[[str], AbstractAsyncContextManager[Side]]
"""Takes the provider's base URL."""


def installed(name: str) -> bool:
    """Whether a side can be started; `make bench` installs what is missing."""
    return name not in _ENVIRONMENTS or environments.installed(_ENVIRONMENTS[name])


def _python(name: str) -> Path:
    return environments.python_of(_ENVIRONMENTS[name])


@asynccontextmanager
async def direct(provider_url: str) -> AsyncIterator[Side]:
    """The provider itself."""
    async with _asking(provider_url) as ask:
        yield Side(ask)


@asynccontextmanager
async def ours(provider_url: str) -> AsyncIterator[Side]:
    """`main.py` as users start it, with its own Postgres and default settings."""
    with passable_folder() as folder:
        async with (
            service_process(folder, provider_url) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            yield Side(ServiceAsker(rpc.OrchestratorServiceStub(channel)), process.pid, folder)


@asynccontextmanager
async def afternoon(provider_url: str) -> AsyncIterator[Side]:
    """`bench.peers.afternoon_server`, on the same Postgres as ours and with the same settings of it."""
    with passable_folder() as folder:
        async with (
            EmbeddedPostgres(folder) as postgres,
            peer_process(
                [str(_python(AFTERNOON)), "-m", "bench.peers.afternoon_server"],
                folder / "afternoon.log",
                DATABASE_URL=postgres.dsn,
                OPENAI_BASE_URL=provider_url,
                OPENAI_API_KEY="none",
            ) as process,
        ):
            address = await _address(folder / "afternoon.log", process)
            async with grpc.aio.insecure_channel(address) as channel:
                yield Side(ServiceAsker(rpc.OrchestratorServiceStub(channel)), process.pid, folder)


@asynccontextmanager
async def litellm(provider_url: str) -> AsyncIterator[Side]:
    """LiteLLM's proxy: one worker, its production mode, a master key, no database."""
    with passable_folder() as folder:
        (folder / "proxy.yaml").write_text(_PROXY.format(url=provider_url, key=_KEY))
        port = free_port()
        arguments = [
            "--config",
            "proxy.yaml",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
        ]
        async with (
            peer_process(
                [str(_python(LITELLM).with_name("litellm")), *arguments],
                folder / "litellm.log",
                cwd=folder,
                LITELLM_MODE="PRODUCTION",
                LITELLM_LOG="ERROR",
                LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it is fetched from the network at the start
            ) as process,
            _asking(f"http://127.0.0.1:{port}/v1", Authorization=f"Bearer {_KEY}") as ask,
        ):
            await _alive(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield Side(ask, process.pid)


@asynccontextmanager
async def aegra(provider_url: str) -> AsyncIterator[Side]:
    """aegra in its production mode, without Redis, on the same Postgres as ours."""
    with passable_folder() as folder:
        async with aegra_server.aegra_process(provider_url, folder) as (process, url), _session() as session:
            await _alive(f"{url}/health", process)
            yield Side(aegra_server.AegraAsker(session, url), process.pid, folder)


SIDES: dict[str, Started] = {
    DIRECT: direct,
    LITELLM: litellm,
    AEGRA: aegra,
    AFTERNOON: afternoon,
    OURS: ours,
}


@asynccontextmanager
async def _asking(base_url: str, **headers: str) -> AsyncIterator[DirectAsker]:
    async with _session(**headers) as session:
        yield DirectAsker(session, base_url)


def _session(**headers: str) -> aiohttp.ClientSession:
    # As many connections as there are streams: none waits for another one's.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers)


async def _address(log: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(_START_SECONDS):
        while not (said := _LISTENS.search(await asyncio.to_thread(log.read_text))):
            await _pause(process)
    return said[1]


async def _alive(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.ok:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await _pause(process)


async def _pause(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        raise RuntimeError(f"a peer ended with {process.returncode} before it served")
    await asyncio.sleep(0.1)
