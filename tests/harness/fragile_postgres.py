"""A Postgres that is stopped at once, as by a crash, and comes back at the same address."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from state.embedded.launch import free_port
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import postmaster_pid


class FragilePostgres:
    """A server with its data in `folder`. `returns`: when it was back, monotonic; `up`: it is there."""

    def __init__(self, folder: Path, *, options: Mapping[str, str] = {}) -> None:
        self._folder = folder
        self._options = options
        self._port = free_port()
        self._server = self._new()
        self.dsn = ""
        self.returns: list[float] = []
        self.up = asyncio.Event()

    def _new(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self._folder, options=self._options, choose_port=lambda: self._port)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.dsn = self._server.dsn
        self.up.set()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(None, None, None)

    async def stop_at_once(self) -> None:
        """Postgres' immediate shutdown: nothing is written any more, and nobody told."""
        self.up.clear()
        os.kill(postmaster_pid(self._folder), signal.SIGQUIT)
        await self._gone()

    async def dies(self, *, within: float) -> bool:
        """Whether it ends by itself in so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._server.died()
        except TimeoutError:
            return False
        await self._gone()
        return True

    async def _gone(self) -> None:
        await self._server.died()
        self.up.clear()
        await self._server.__aexit__(None, None, None)

    async def start(self) -> None:
        """Start it again."""
        self._server = self._new()
        await self._server.__aenter__()
        self.returns.append(monotonic())
        self.up.set()
