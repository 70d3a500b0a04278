"""The pool of connections, and the one place where asyncpg's failures become ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import asyncpg

from state.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a server says that is being killed may be half a word
    OSError,
    TimeoutError,
)


_CONNECT_SECONDS = 5.0


_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise DatabaseUnavailableError for whatever means that Postgres is out of reach, shut or too slow."""
    try:
        yield
    except _REFUSED as error:
        raise DatabaseUnavailableError(
            "the database does not let us in: check its name, the user and the password"
        ) from error
    except _UNREACHABLE as error:
        raise DatabaseUnavailableError("the database cannot be reached") from error


class _Session(asyncpg.Connection):
    """A connection without the reset query, a round trip at each release: no session keeps any state."""

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A pool of connections to one schema of one database.

    `acquire_seconds` bounds the wait for a free connection, `statement_seconds` one statement on the server.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str,
        pool_size: int,
        acquire_seconds: float = 5.0,
        statement_seconds: float = 15.0,
    ) -> None:
        self.dsn = dsn
        self.schema = schema
        self._pool_size = pool_size
        self._acquire_seconds = acquire_seconds
        self._statement_seconds = statement_seconds
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        with translated():
            self._pool = await asyncpg.create_pool(
                self.dsn,
                min_size=self._pool_size,
                max_size=self._pool_size,
                timeout=_CONNECT_SECONDS,
                command_timeout=self._statement_seconds,
                connection_class=_Session,
                server_settings={
                    "search_path": self.schema,
                    "application_name": "llm-orchestrator",
                    "statement_timeout": str(int(self._statement_seconds * 1000)),
                    "idle_in_transaction_session_timeout": str(int(self._statement_seconds * 1000)),
                },
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), self._acquire_seconds)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """A connection of the pool.

        Raises:
            DatabaseUnavailableError: None came free in time, or the database failed while it was used.
        """
        if self._pool is None:
            raise DatabaseUnavailableError("the database pool is closed")
        with translated():
            async with self._pool.acquire(timeout=self._acquire_seconds) as connection:
                yield connection

    async def probe(self) -> None:
        """Return when a statement can be run; raises DatabaseUnavailableError."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")
