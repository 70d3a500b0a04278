"""A process whose clock is off: `python -m tests.integration.checkpoints.replica DSN SECONDS`.

Each line of its input is JSON, [side, conversation, text]; it takes that turn and answers with a line.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]
OURS, STOCK = "ours", "stock"


class Replica:
    """A running one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def turn(self, side: str, conversation: str, text: str) -> None:
        """Return when the replica has acknowledged the turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([side, conversation, text]).encode() + b"\n")
        assert await self._process.stdout.readline() == b"done\n"


@asynccontextmanager
async def replica(dsn: str, seconds: float) -> AsyncIterator[Replica]:
    """A replica whose clock is so many seconds ahead, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.checkpoints.replica", dsn, str(seconds)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Replica(process)
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


async def serve(dsn: str) -> None:
    from state.postgres.database import Database
    from tests.integration.checkpoints.turns import our_conversations, stock_conversations

    async with (
        Database(dsn, schema="orchestrator", pool_size=1) as database,
        our_conversations(database) as ours,
        stock_conversations(dsn) as stock,
    ):
        opened = {OURS: ours, STOCK: stock}
        while line := await asyncio.to_thread(sys.stdin.readline):
            side, conversation, text = json.loads(line)
            await opened[side](conversation).turn(text)
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    shift_clock(float(sys.argv[2]))
    asyncio.run(serve(sys.argv[1]))
