"""One embedded Postgres for a whole test session; each test's database copies a migrated template."""

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from state.embedded.server import EmbeddedPostgres
from state.postgres.migrate import migrate
from state.postgres.roles import Logins, logins_beside, make_logins

SCHEMA = "orchestrator"
TEMPLATE = "migrated_template"


class SessionPostgres:
    """Runs the server from a thread of its own, because pytest's hooks are not asynchronous.

    Nothing in it outlives the session, so nothing needs to survive a power cut, unless `fsync` is on.
    """

    def __init__(self, *, fsync: str = "off") -> None:
        self.dsn = ""
        self._fsync = fsync
        self._failure: BaseException | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="session-postgres")

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise RuntimeError("the tests' Postgres did not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        with tempfile.TemporaryDirectory(prefix="orchestrator-tests-") as folder:
            os.chmod(folder, 0o711)
            options = {"fsync": self._fsync, "max_connections": "300"}
            try:
                async with EmbeddedPostgres(Path(folder), options=options) as postgres:
                    await _make_template(postgres.dsn)
                    self.dsn = postgres.dsn
                    self._started.set()
                    await self._stop.wait()
            except BaseException as error:
                self._failure = error
                raise
            finally:
                self._started.set()


@asynccontextmanager
async def fresh_database(server_dsn: str, *, migrated: bool = True) -> AsyncIterator[str]:
    """A database of one test's own."""
    name = f"test_{uuid4().hex}"
    template = TEMPLATE if migrated else "template1"
    await _execute(server_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield with_database(server_dsn, name)
    finally:
        await _execute(server_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


def logins_to(dsn: str) -> Logins:
    """The two logins that a service uses, to a database that tests use as its owner."""
    return logins_beside(dsn, SCHEMA)


def with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _make_template(dsn: str) -> None:
    await _execute(dsn, f'CREATE DATABASE "{TEMPLATE}"')
    await make_logins(dsn, SCHEMA)  # before the template is migrated: what they may do is copied with it
    await migrate(with_database(dsn, TEMPLATE), SCHEMA)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
