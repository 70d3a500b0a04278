"""The service's connections keep the plan of a statement."""

from uuid import uuid4

from state.postgres.database import Database


async def test_a_statement_is_planned_once_however_often_it_is_asked(dsn: str) -> None:
    async with (
        Database(dsn, schema="orchestrator", pool_size=1) as database,
        database.connection() as connection,
    ):
        statement = await connection.prepare("SELECT count(*) FROM runs WHERE run_id = $1")
        for _ in range(3):
            assert await statement.fetchval(uuid4()) == 0
        told = await connection.fetchrow(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = $1",
            statement.get_name(),
        )
    assert told is not None
    assert tuple(told) == (3, 0)
