"""A place for one process after the other, behind proxies: before its callers, and before its database."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from state.embedded.launch import free_port
from tests.harness.fragile_postgres import FragilePostgres
from tests.harness.process import OrchestratorProcess
from tests.harness.proxy import TcpProxy
from tests.integration.tasks.workers import Place, as_user

_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")
_AGAIN_SECONDS = 0.2
_NOT_STARTED = (RuntimeError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_LAST_WORDS = 3
logger = logging.getLogger(__name__)


def faketime_library() -> Path | None:
    """What makes a process see another time of day, if it is installed."""
    paths = (Path(folder) / "faketime" / "libfaketimeMT.so.1" for folder in _LIBRARIES)
    return next((path for path in paths if path.exists()), None)


class Replica(Place):
    """One that comes back by itself, as under a supervisor. `address`: where its callers find it.

    `failed_starts`: how often a process ended before it served. `deaths`: the last words of those that ended
    by themselves.
    """

    def __init__(self, folder: Path, postgres: FragilePostgres, environment: Mapping[str, str]) -> None:
        port = free_port()
        own = {**environment, "ORCHESTRATOR_SERVER__ADDRESS": f"127.0.0.1:{port}"}
        super().__init__(folder, postgres.dsn, own)
        self._own = own
        self._postgres = postgres
        self._clock = folder / f"clock-{port}"
        self.to_database = TcpProxy.to(postgres.dsn)
        self.to_service = TcpProxy("127.0.0.1", port)
        self.failed_starts = 0
        self.deaths: list[list[str]] = []
        self._meant: set[OrchestratorProcess] = set()
        self._watching: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.to_database.__aenter__()
        await self.to_service.__aenter__()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._meant.add(self.process)
        await self.stop()
        await asyncio.gather(*self._watching)
        await self.to_service.__aexit__(None, None, None)
        await self.to_database.__aexit__(None, None, None)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.to_service.port}"

    def address_for(self, name: str) -> str:
        return as_user(self.to_database.dsn, name)

    async def start(self) -> None:
        """A process that serves, however often that takes."""
        while True:
            await self._postgres.up.wait()
            try:
                await super().start()
                self._watching.append(asyncio.create_task(self._watch(self.process), name="watch a process"))
                return
            except _NOT_STARTED as error:
                self.failed_starts += 1
                logger.info("a replica did not start: %s", type(error).__name__)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _watch(self, process: OrchestratorProcess) -> None:
        await process.ended()
        if process not in self._meant:
            self.deaths.append(process.errors[-_LAST_WORDS:])
            self._replacing = asyncio.create_task(self.start(), name="replace a process that died")

    async def kill(self) -> None:
        """As a Place; whoever changes it meanwhile is waited for."""
        async with self.changing:
            await self.there()
            self._meant.add(self.process)
            await super().kill()

    async def restart(self) -> int:
        """Likewise."""
        async with self.changing:
            await self.there()
            self._meant.add(self.process)
            return await super().restart()

    @asynccontextmanager
    async def paused(self) -> AsyncGenerator[None]:
        """Likewise."""
        async with self.changing:
            await self.there()
            async with super().paused():
                yield

    @property
    def skewed(self) -> bool:
        """Whether its processes see a time of day of their own."""
        return "LD_PRELOAD" in self._own

    def skew(self, seconds: int) -> bool:
        """The process that is started next sees a time so far off, one that did already from now on.

        Whether that is possible here.
        """
        library = faketime_library()
        if library is None:
            return False
        self._clock.write_text(f"{seconds:+d}")
        self._own |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # a wrong time of day leaves it alone
        }
        return True
