"""Group commit: callers that come at the same time share a transaction, and none pays for another's fault."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from state.errors import DatabaseUnavailableError
from state.postgres.checkpoints.grouping import GroupedStatement
from state.postgres.database import Database

INSERT = """
WITH written AS (INSERT INTO noted (number) VALUES ($1) RETURNING number)
SELECT number, pg_current_xact_id()::text AS transaction FROM written
"""


@pytest.fixture
async def inserts(database: Database) -> AsyncIterator[GroupedStatement]:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE noted (number integer PRIMARY KEY CHECK (number < 100))")
    yield GroupedStatement(database, INSERT)
    async with database.connection() as connection:
        await connection.execute("DROP TABLE noted")


async def noted(database: Database) -> list[int]:
    async with database.connection() as connection:
        return [row["number"] for row in await connection.fetch("SELECT number FROM noted ORDER BY number")]


async def test_those_that_come_while_one_is_written_share_a_transaction(
    database: Database, inserts: GroupedStatement
) -> None:
    rows = await asyncio.gather(*(inserts.fetch((number,)) for number in range(20)))
    assert [row["number"] for row in rows] == list(range(20))
    assert len({row["transaction"] for row in rows}) == 2
    assert await noted(database) == list(range(20))


async def test_a_group_is_no_larger_than_fits_in_one_piece(inserts: GroupedStatement) -> None:
    rows = await asyncio.gather(*(inserts.fetch((number,), size=30_000) for number in range(9)))
    assert len({row["transaction"] for row in rows}) == 5


async def test_only_the_one_at_fault_is_refused(database: Database, inserts: GroupedStatement) -> None:
    numbers = [0, 1, 200, 2]
    outcomes = await asyncio.gather(*(inserts.fetch((number,)) for number in numbers), return_exceptions=True)
    assert isinstance(outcomes[2], asyncpg.CheckViolationError)
    assert await noted(database) == [0, 1, 2]
    assert (await inserts.fetch((3,)))["number"] == 3


async def test_who_leaves_the_line_is_left_out_and_holds_up_nobody(
    database: Database, inserts: GroupedStatement
) -> None:
    callers = [asyncio.create_task(inserts.fetch((number,))) for number in range(4)]
    await asyncio.sleep(0)
    callers[0].cancel()
    callers[2].cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    assert callers[2].cancelled()
    assert {1, 3} <= set(await noted(database)) <= {0, 1, 3}
    assert (await inserts.fetch((4,)))["number"] == 4


async def test_everybody_hears_of_a_database_that_is_away(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=1) as database:
        statement = GroupedStatement(database, "SELECT $1::integer AS number")
    outcomes = await asyncio.gather(
        *(statement.fetch((number,)) for number in range(5)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {DatabaseUnavailableError}
