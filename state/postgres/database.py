"""The pool of connections, and the one place where asyncpg's failures become ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import asyncpg

from state.errors import DatabaseUnavailableError
from state.models import Owner
from state.postgres.asking import NAME_OWNER, as_owner

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
    Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_UNREACHABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # it is being stopped, has crashed, or was told to give a statement up
    asyncpg.InsufficientResourcesError,  # too many connections; a full disk; no memory
    asyncpg.PostgresSystemError,  # its disk fails, or a file of its own is missing
    asyncpg.ReadOnlySQLTransactionError,  # another one is the primary now
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
    """Raise DatabaseUnavailableError where Postgres is out of reach or of room, shut or too slow."""
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

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's own
        if self.is_in_transaction():  # there is nothing else to do
            await super().reset(timeout=timeout)


def _is_good(connection: "Connection") -> bool:
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:  # it was lost, and asyncpg has taken it back
        return False


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
        milliseconds = str(int(statement_seconds * 1000))
        self._options: dict[str, Any] = {
            "timeout": _CONNECT_SECONDS,
            "command_timeout": statement_seconds,
            "connection_class": _Session,
            "server_settings": {
                "search_path": schema,
                "application_name": "llm-orchestrator",
                # Each statement has one plan that is good for all values: tests/integration/plans.
                "plan_cache_mode": "force_generic_plan",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
            },
        }
        self._pool: Pool | None = None
        self._kept: list[KeptConnection] = []
        self._at_hand: list[Connection] = []
        self._waiting = 0

    async def __aenter__(self) -> Self:
        with translated():
            self._pool = await asyncpg.create_pool(
                self.dsn, min_size=self._pool_size, max_size=self._pool_size, **self._options
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is None:
            return
        while self._at_hand:
            await self._pool.release(self._at_hand.pop())
        try:
            await asyncio.wait_for(self._pool.close(), self._acquire_seconds)
        except TimeoutError:
            self._pool.terminate()
        for kept in self._kept:
            await kept.close(self._acquire_seconds)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        """A connection of the pool.

        Raises:
            DatabaseUnavailableError: None came free in time, or the database failed while it was used.
        """
        if self._pool is None:
            raise DatabaseUnavailableError("the database pool is closed")
        with translated():
            connection = await self._taken(self._pool)
            try:
                yield connection
            except BaseException:
                await self._pool.release(connection)
                raise
            await self._put_back(self._pool, connection)

    async def _taken(self, pool: "Pool") -> "Connection":
        """The connection that was used last, or one from asyncpg's hands, which takes three times as long."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if _is_good(connection):
                return connection
            await pool.release(connection)
        self._waiting += 1
        try:
            return await pool.acquire(timeout=self._acquire_seconds)
        finally:
            self._waiting -= 1

    async def _put_back(self, pool: "Pool", connection: "Connection") -> None:
        if self._waiting or pool.is_closing() or not _is_good(connection):
            await pool.release(connection)
        else:
            self._at_hand.append(connection)

    async def asked(self, statement: str, owner: Owner, *arguments: object) -> list[asyncpg.Record]:
        """The rows that a reading statement finds, seeing only those of `owner`, its $1. One round trip.

        Raises:
            DatabaseUnavailableError: As `connection`.
        """
        async with self.connection() as connection:
            return await connection.fetch(as_owner(statement), owner, *arguments)

    async def asked_one(self, statement: str, owner: Owner, *arguments: object) -> asyncpg.Record | None:
        """The first of these rows; None when there is none."""
        async with self.connection() as connection:
            return await connection.fetchrow(as_owner(statement), owner, *arguments)

    @asynccontextmanager
    async def asking(self, owner: Owner, *, thread: str = "") -> AsyncIterator["Connection"]:
        """A transaction that sees only what is the owner's, and the rows without one of a thread.

        Raises:
            DatabaseUnavailableError: As `connection`.
        """
        async with self.connection() as connection, connection.transaction():
            await connection.execute(NAME_OWNER, owner, thread)
            yield connection

    def keep(self) -> "KeptConnection":
        """A connection beside the pool, closed with it."""
        kept = KeptConnection(self._connect)
        self._kept.append(kept)
        return kept

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._pool is None or self._pool.is_closing():
            raise DatabaseUnavailableError("the database pool is closed")
        return await asyncpg.connect(self.dsn, **self._options)

    @property
    def connections(self) -> tuple[int, int]:
        """How many there are in the pool, and how many of them are taken."""
        pool = self._pool
        if pool is None:
            return 0, 0
        return pool.get_size(), pool.get_size() - pool.get_idle_size() - len(self._at_hand)

    async def probe(self) -> None:
        """Return when a statement can be run; raises DatabaseUnavailableError."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


class KeptConnection:
    """A connection for the one who is always at it, who would else take one and give it back all the time.

    Made when it is first wanted, and anew after it was lost or a statement on it failed.
    """

    def __init__(self, connect: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]) -> None:
        self._connect = connect
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """The rows of a statement, one statement at a time.

        Raises:
            DatabaseUnavailableError: There is no connection, or it failed.
        """
        with translated():
            if self._connection is None or self._connection.is_closed():
                self._connection = await self._connect()
            try:
                return await self._connection.fetch(query, *arguments)
            except BaseException:
                self._connection.terminate()  # nobody knows what it is still at
                raise

    async def close(self, seconds: float) -> None:
        """Take leave of Postgres, in so many seconds at most."""
        if self._connection is not None:
            with suppress(*_UNREACHABLE):
                await self._connection.close(timeout=seconds)
