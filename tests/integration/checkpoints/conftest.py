"""A pool on the test's database, and the official saver on the same tables."""

from collections.abc import AsyncIterator

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from state.postgres.database import Database


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


@pytest.fixture
async def official(dsn: str) -> AsyncIterator[AsyncPostgresSaver]:
    url = f"{dsn}?options=-csearch_path%3Dorchestrator"
    serde = JsonPlusSerializer(allowed_msgpack_modules=None)
    async with AsyncPostgresSaver.from_conn_string(url, serde=serde) as saver:
        await saver.setup()
        yield saver
