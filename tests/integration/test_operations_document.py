"""What docs/operations.md says of Postgres, tried on one."""

import re

import asyncpg
import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import ROOT
from tests.harness.service import running_service

TEXT = (ROOT / "docs/operations.md").read_text()
STATEMENTS = re.findall(r"[^;]+;", "".join(re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)))
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_its_statements_fit_our_tables(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in STATEMENTS:
        await connection.execute(statement)
    await connection.close()
    assert len(STATEMENTS) == TEXT.count("ALTER TABLE") + TEXT.count("\nSELECT")


@pytest.mark.parametrize("pool_size", [2, 4])
async def test_a_replica_holds_as_many_connections_as_it_says(
    dsn: str, provider: ScriptedProvider, pool_size: int
) -> None:
    [more] = re.findall(r"and (\d+) more \(beats", TEXT)
    async with running_service(dsn, provider, database={"pool_size": pool_size}) as service:
        await service.chat()
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval(SESSIONS) == pool_size + int(more)
        await connection.close()
