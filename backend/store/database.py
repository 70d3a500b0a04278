"""The pool of connections to the backend's schema, and where asyncpg's failures become ours."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeAlias

import asyncpg

from backend.store.errors import StoreUnavailableError
from llm_orchestrator_client.tool_service import InvalidArgumentError

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
    Row: TypeAlias = asyncpg.Record

SCHEMA = "backend"
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 5.0

_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresIOError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    OSError,
    TimeoutError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Postgres' failures as ours.

    Raises:
        StoreUnavailableError: It cannot answer now.
        InvalidArgumentError: There is a NUL in what it was given, or half a character.
    """
    try:
        yield
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise InvalidArgumentError("There is a character that cannot be kept.") from error
    except _UNREACHABLE as error:
        raise StoreUnavailableError("The backend's database cannot be reached.") from error


class Database:
    """A pool of connections to the schema, which must have been migrated; open while its block runs.

    `acquire_seconds` bounds the wait for a free connection, `statement_seconds` one statement; 0 = no bound.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = SCHEMA,
        pool_size: int = 8,
        acquire_seconds: float = 5.0,
        statement_seconds: float = 15.0,
    ) -> None:
        self._dsn = dsn
        self._schema = schema
        self._pool_size = pool_size
        self._acquire_seconds = acquire_seconds
        self._statement_seconds = statement_seconds
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        milliseconds = str(int(self._statement_seconds * 1000))
        with translated():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._pool_size,
                timeout=CONNECT_SECONDS,
                command_timeout=self._statement_seconds or None,
                server_settings={
                    # Extensions are in public, which the owner of the database alone may write to.
                    "search_path": f"{quoted(self._schema)}, public",
                    "application_name": "backend",
                    "statement_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """A connection of the pool. No session keeps any state.

        Raises:
            StoreUnavailableError: None came free in time, or the database failed while it was used.
        """
        if self._pool is None:
            raise StoreUnavailableError("The backend's database is closed.")
        with translated():
            async with self._pool.acquire(timeout=self._acquire_seconds) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Connection"]:
        """A connection in a transaction: all of the block counts, or nothing. Raises as `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
