"""Answers of calls that write, kept in Postgres: the same for every process, and over a restart."""

import json
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from backend.store.database import SCHEMA, Database
from backend.store.errors import StoreUnavailableError
from llm_orchestrator_client.tool_service import Answer, CallKey

if TYPE_CHECKING:
    from backend.store.database import Connection

_LOCK = "SELECT pg_advisory_lock(hashtextextended($1, 0))"
_KEPT = "SELECT digest, response FROM tool_calls WHERE user_id = $1 AND rpc = $2 AND call_id = $3"
_KEEP = "INSERT INTO tool_calls (user_id, rpc, call_id, digest, response) VALUES ($1, $2, $3, $4, $5)"
_FORGET = """
DELETE FROM tool_calls WHERE ctid IN (
    SELECT ctid FROM tool_calls WHERE kept_at < now() - make_interval(secs => $1) LIMIT 100
)
"""


class PostgresCallStore:
    """A CallStore. A claimed call holds a lock of its own connection, which goes when its process does.

    So at most `claims` calls that write are at work or waiting in this process; those beyond wait for
    `acquire_seconds`. An answer is kept for `seconds`. What it cannot know is whether a process that died had
    done the effect: a handler that must never do it twice keeps the call id in the row that it writes.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = SCHEMA,
        claims: int = 16,
        seconds: float = 24 * 3600.0,
        acquire_seconds: float = 10.0,
    ) -> None:
        self._schema = schema
        # No bound for a statement: who waits for another's answer is bounded by the call's deadline.
        self._database = Database(
            dsn, schema=schema, pool_size=claims, acquire_seconds=acquire_seconds, statement_seconds=0.0
        )
        self._seconds = seconds
        self._claimed: dict[CallKey, tuple[AsyncExitStack, Connection]] = {}

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.__aexit__(kind, error, trace)

    async def claim(self, key: CallKey) -> Answer | None:
        """The answer that is kept; None = the call is the caller's. Raises: StoreUnavailableError."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._database.connection())
            # Giving the connection back frees the lock: the pool resets what it takes back.
            await connection.execute(_LOCK, json.dumps([self._schema, key.user, key.rpc, key.call_id]))
            row = await connection.fetchrow(_KEPT, key.user, key.rpc, key.call_id)
            if row is not None:
                return Answer(row["digest"], row["response"])
            self._claimed[key] = (stack.pop_all(), connection)
        return None

    async def keep(self, key: CallKey, answer: Answer) -> None:
        """Remember the answer. Raises: StoreUnavailableError: the lock or the database was lost."""
        stack, connection = self._claimed.pop(key)
        async with stack:
            # On the connection that holds the lock: without it nothing may be kept.
            await connection.execute(_KEEP, key.user, key.rpc, key.call_id, answer.digest, answer.response)
            await connection.execute(_FORGET, self._seconds)

    async def release(self, key: CallKey) -> None:
        """Forget that it was claimed; also after `keep` has failed."""
        stack, _ = self._claimed.pop(key, (AsyncExitStack(), None))
        try:
            await stack.aclose()
        except StoreUnavailableError:
            return  # the connection is lost, and the lock with it
