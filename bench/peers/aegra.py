"""aegra, a server of the Agent Protocol for LangGraph: how it is started, and asked."""

from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from bench.askers import Timing
from bench.peers import environments
from bench.processes import peer_process
from state.embedded.launch import free_port
from state.embedded.server import EmbeddedPostgres
from tests.harness.process import ROOT

ENVIRONMENT = "aegra"
_JSON = {"Content-Type": "application/json"}
_GRAPH = ROOT / "bench" / "peers" / "graph.py"
_SETTINGS = {
    "AUTH_TYPE": "noop",
    "ENV_MODE": "PRODUCTION",
    "LOG_LEVEL": "WARNING",
    "REDIS_BROKER_ENABLED": "false",  # runs are executed where they are asked for: its fast side
}


class AegraAsker:
    """Asks for a run in a thread that is new, which its server makes on the way, and reads its messages."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = base_url

    async def __call__(self, question: str, timing: Timing | None = None) -> Timing:
        timing = timing or Timing(question)
        body = {
            "assistant_id": "answer",
            "input": {"messages": [{"role": "user", "content": question}]},
            "stream_mode": ["messages-tuple"],
        }
        url = f"{self._url}/threads/{uuid4()}/runs/stream"
        async with self._session.post(url, data=orjson.dumps(body), headers=_JSON) as response:
            response.raise_for_status()
            speaks = False
            async for line in response.content:
                if line.startswith(b"event: "):
                    speaks = line.startswith(b"event: messages")
                elif speaks and line.startswith(b"data: "):
                    timing.take(_text(orjson.loads(line[6:])))
        return timing.ended()


@asynccontextmanager
async def aegra_process(provider_url: str, folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """`aegra serve` with a Postgres in `folder`, and its base URL, where it may not serve yet."""
    (folder / "aegra.json").write_text(orjson.dumps({"graphs": {"answer": f"{_GRAPH}:graph"}}).decode())
    port = free_port()
    command = environments.python_of(ENVIRONMENT).with_name("aegra")
    arguments = ["serve", "--host", "127.0.0.1", "--port", str(port), "--config", "aegra.json"]
    async with (
        EmbeddedPostgres(folder) as postgres,
        peer_process(
            [str(command), *arguments],
            folder / "aegra.log",
            cwd=folder,
            DATABASE_URL=postgres.dsn,
            OPENAI_BASE_URL=provider_url,
            OPENAI_API_KEY="none",
            **_SETTINGS,
        ) as process,
    ):
        yield process, f"http://127.0.0.1:{port}"


def _text(event: list[dict[str, Any]]) -> str:
    message = event[0]
    return str(message.get("content") or "") if message.get("type") == "AIMessageChunk" else ""
