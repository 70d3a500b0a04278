"""The savers that `bench.saver` compares, on one Postgres, each in a schema of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from state.embedded.server import EmbeddedPostgres
from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.database import Database
from state.postgres.migrate import migrate
from tests.integration.checkpoints.running import begin, config

CONNECTIONS = 4
OURS, POOL, SINGLE = "ours", f"official, pool of {CONNECTIONS}", "official, 1 connection"
_SCHEMA, _STOCK_SCHEMA = "orchestrator", "stock"
_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Side:
    """A saver, and how to get the config of a new thread in it. Without a saver nothing is kept."""

    name: str
    saver: BaseCheckpointSaver[str] | None
    new_thread: Callable[[], Awaitable[RunnableConfig]]


@asynccontextmanager
async def sides(folder: Path) -> AsyncIterator[list[Side]]:
    """Ours first; then the official one with a pool of the same size, then as `from_conn_string` makes it."""
    async with EmbeddedPostgres(folder) as postgres:
        await migrate(postgres.dsn, _SCHEMA)
        async with (
            Database(postgres.dsn, schema=_SCHEMA, pool_size=CONNECTIONS) as database,
            _official(postgres.dsn) as (pool, single),
        ):
            yield [
                Side(OURS, PostgresSaver(database), lambda: _new_run(database)),
                Side(POOL, pool, bare_thread),
                Side(SINGLE, single, bare_thread),
            ]


async def bare_thread() -> RunnableConfig:
    """The config of a new thread for a saver that knows no runs."""
    return {"configurable": {"thread_id": f"thread-{next(_NUMBERS)}", "checkpoint_ns": ""}}


async def _new_run(database: Database) -> RunnableConfig:
    return config(await begin(database, conversation=f"conversation-{next(_NUMBERS)}"))


@asynccontextmanager
async def _official(dsn: str) -> AsyncIterator[tuple[AsyncPostgresSaver, AsyncPostgresSaver]]:
    url = f"{dsn}?options=-csearch_path%3D{_STOCK_SCHEMA}"
    # What `from_conn_string` connects with; the pool's documentation asks for the same.
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"CREATE SCHEMA {_STOCK_SCHEMA}")
    pool = AsyncConnectionPool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, open=False, kwargs=options)
    async with pool, AsyncPostgresSaver.from_conn_string(url) as single:
        pooled = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
        # The same as ours: the lenient one warns of every type it does not know.
        pooled.serde = single.serde = JsonPlusSerializer(allowed_msgpack_modules=None)
        await single.setup()
        yield pooled, single
