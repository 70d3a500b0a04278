"""A process that takes turns: `python -m tests.integration.checkpoints.replica DSN REPLICA_ID SECONDS_AHEAD`.

It beats, as a replica of ours does. Each line of its input is a JSON list: side, conversation, text, and
whether the turn is to wait in its middle. Such a turn says "thinking RUN_ID" once it has read the
conversation, and writes after the next line of input. The last word on a turn is "done", or the error that
refused it.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from state.errors import OrchestratorError
from state.models import ReplicaId, RunId
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from tests.integration.checkpoints.turns import Conversation, at_once, our_conversations, stock_conversations

ROOT = Path(__file__).parents[3]
OURS, STOCK = "ours", "stock"
DONE = "done"
_BEAT_SECONDS = 0.05


class Replica:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process, replica_id: ReplicaId) -> None:
        self._process = process
        self.replica_id = replica_id

    async def turn(self, side: str, conversation: str, text: str) -> str:
        """Take a turn: "done" once it is acknowledged, else the error's name."""
        return await self._ask(json.dumps([side, conversation, text, False]))

    async def think(self, side: str, conversation: str, text: str) -> RunId:
        """Begin a turn; returns when it has read the conversation."""
        word, _, run_id = (await self._ask(json.dumps([side, conversation, text, True]))).partition(" ")
        assert word == "thinking"
        return RunId(run_id)

    async def go_on(self) -> str:
        """Let the turn that thinks write; the same as of `turn`."""
        return await self._ask("go on")

    def stop(self) -> None:
        """Stop the process wherever it is."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it run again."""
        self._process.send_signal(signal.SIGCONT)

    async def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        return (await self._process.stdout.readline()).decode().rstrip("\n")


@asynccontextmanager
async def replica(dsn: str, *, seconds_ahead: float = 0.0) -> AsyncIterator[Replica]:
    """A replica whose clock is so many seconds ahead, until the block ends."""
    replica_id = ReplicaId(uuid4().hex)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.checkpoints.replica"),
        *(dsn, replica_id, str(seconds_ahead)),
        cwd=ROOT,
        env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Replica(process, replica_id)
        await process.communicate(b"")  # closes its input, which tells it to end
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def shift_clock(seconds: float) -> None:
    """Put this process's clock ahead, as a host's may be; `time.monotonic` stays."""
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_time_ns() + int(seconds * 1e9)


def answer(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def serve(dsn: str, replica_id: ReplicaId) -> None:
    async with (
        Database(dsn, schema="orchestrator", pool_size=2) as database,
        our_conversations(database, replica_id) as ours,
        stock_conversations(dsn) as stock,
    ):
        opened = {OURS: ours, STOCK: stock}
        beating = asyncio.create_task(_beat(PostgresLeases(database, database, replica_id, version="test")))
        while line := await asyncio.to_thread(sys.stdin.readline):
            side, conversation, text, thinks = json.loads(line)
            await _turn(opened[side](conversation), text, thinks=thinks)
        beating.cancel()


async def _beat(leases: PostgresLeases) -> None:
    while True:
        await leases.beat(6.0)
        await asyncio.sleep(_BEAT_SECONDS)


async def _turn(conversation: Conversation, text: str, *, thinks: bool) -> None:
    at = await conversation.begin()

    async def think() -> None:
        answer(f"thinking {at['configurable'].get('run_id', '')}")
        await asyncio.to_thread(sys.stdin.readline)

    try:
        await conversation.turn(text, think if thinks else at_once, at)
    except OrchestratorError as error:
        answer(type(error).__name__)
    else:
        answer(DONE)


if __name__ == "__main__":
    shift_clock(float(sys.argv[3]))
    asyncio.run(serve(sys.argv[1], ReplicaId(sys.argv[2])))
