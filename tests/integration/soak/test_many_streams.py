"""Many streams at once: every chunk arrives, and what is committed does not grow with their number."""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import orchestrator_process
from tests.harness.scale import SCALE, SOAK, report, scaled
from tests.harness.service import chat_request, text_of

STREAMS = scaled(200)
TOKENS = 60 if SOAK else 50
LATE_SECONDS = 2.0
WINDOW_SECONDS = 4.0
INTERVAL = 0.5 if SOAK else 0.2
"""Two tokens a second in each stream: 4,000 in all at the size of the soak."""
TEXT = "".join(f"token-{number:02} " for number in range(TOKENS))
SCRIPT = Script(
    tokens=tuple(f"token-{number:02} " for number in range(TOKENS)), token_interval=INTERVAL, hold_after=1
)
CHANNELS = 8
AT_ONCE = 100
"""So many streams begin at a time: the next when one of them has its first text."""
MOST_COMMITS = 80.0
"""A second: 54 of the log, three in a window of 56 ms, and what a process looks for.

Alone each stream would have a commit for every token: hundreds a second.
"""
COMMITS = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"

pytestmark = pytest.mark.timeout(120 * SCALE)


@dataclass(frozen=True)
class Load:
    """What so many streams took."""

    streams: int
    seconds: float
    commits: int
    resident_kib: int

    @property
    def commits_per_second(self) -> float:
        return self.commits / self.seconds


class Measured:
    """A service in a process of its own, its database and its callers."""

    def __init__(
        self,
        dsn: str,
        pid: int,
        provider: ControlClient,
        stubs: list["rpc.OrchestratorServiceAsyncStub"],
    ) -> None:
        self._dsn = dsn
        self._provider = provider
        self._pid = pid
        self._stubs = stubs
        self._begun = asyncio.Semaphore(0)

    async def carry(self, streams: int) -> Load:
        """Open so many streams, read them to their ends, and look at each."""
        doors = asyncio.Semaphore(AT_ONCE)
        readers = [asyncio.create_task(self._read(number, doors)) for number in range(streams)]
        all_begun = asyncio.create_task(self._until_begun(streams))
        either: set[asyncio.Future[Any]] = {all_begun, *readers}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for reader in (reader for reader in readers if reader.done()):
            reader.result()
        assert all_begun.done(), "a stream ended before all had begun: the machine is too busy for so many"
        # All streams are open then, and go on together. Postgres tells of commits a second late.
        await self._provider.release()
        await asyncio.sleep(LATE_SECONDS)
        commits, began = await self._commits(), monotonic()
        await asyncio.sleep(WINDOW_SECONDS)
        resident, commits, seconds = (
            self._resident_kib(),
            await self._commits() - commits,
            monotonic() - began,
        )
        await asyncio.gather(*readers)
        return Load(streams, seconds, commits, resident)

    async def _until_begun(self, streams: int) -> None:
        for _ in range(streams):
            await self._begun.acquire()

    async def _read(self, number: int, doors: asyncio.Semaphore) -> None:
        await doors.acquire()
        stub = self._stubs[number % len(self._stubs)]
        request = chat_request(
            user_id=f"user-{number}", stream_options=pb.StreamOptions(structured_only=True)
        )
        chunks: list[pb.ChatChunk] = []
        async for chunk in stub.StreamChat(request):
            if chunk.content.text and not text_of(chunks):
                doors.release()
                self._begun.release()
            chunks.append(chunk)
        logged = [chunk.sequence for chunk in chunks if chunk.sequence]
        assert logged == list(range(1, len(logged) + 1))
        assert chunks[-1].complete.final_text == text_of(chunks) == TEXT

    async def _commits(self) -> int:
        connection = await asyncpg.connect(self._dsn)
        commits: int = await connection.fetchval(COMMITS)
        await connection.close()
        return commits

    def _resident_kib(self) -> int:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_many_streams_have_no_gap_and_share_their_commits(dsn: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(scripted_provider_process())
        await provider.set_default(SCRIPT)
        process = await stack.enter_async_context(
            orchestrator_process(
                tmp_path,
                DATABASE_URL=dsn,
                OPENAI_BASE_URL=provider.base_url,
                ORCHESTRATOR_SERVER__MAX_STREAMS=str(STREAMS),
                ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY=str(STREAMS),
                # A burst of so many makes this machine slow, which is not the provider's fault.
                ORCHESTRATOR_PROVIDER__MIN_CONCURRENCY=str(STREAMS),
                ORCHESTRATOR_STREAM__HEARTBEAT_SECONDS="60",
                ORCHESTRATOR_PROVIDER__BETWEEN_TOKENS_SECONDS="300",
            )
        )
        channels = [
            grpc.aio.insecure_channel(process.address, [("grpc.use_local_subchannel_pool", 1)])
            for _ in range(CHANNELS)
        ]
        for channel in channels:
            await stack.enter_async_context(channel)
        measured = Measured(
            dsn, process.pid, provider, [rpc.OrchestratorServiceStub(channel) for channel in channels]
        )
        few = await measured.carry(STREAMS // 2)
        many = await measured.carry(STREAMS)
    per_stream = (many.resident_kib - few.resident_kib) / (many.streams - few.streams)
    report(
        f"{many.streams} streams, {many.streams / INTERVAL:.0f} tokens/s in all, no gap; "
        f"{per_stream:.0f} KiB for each further stream; {many.commits_per_second:.0f} commits/s, "
        f"{few.commits_per_second:.0f} with half as many streams (load {os.getloadavg()[0]:.1f})"
    )
    # Postgres counts what a connection did up to a second late: two rates are no ratio.
    assert max(many.commits_per_second, few.commits_per_second) <= MOST_COMMITS
