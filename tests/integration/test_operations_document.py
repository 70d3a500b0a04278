"""What docs/operations.md says of Postgres, tried on one."""

import re

import asyncpg
import pytest

from state.postgres.roles import Logins
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.postgres import logins_to
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
@pytest.mark.parametrize("pools", [1, 2])
async def test_a_replica_holds_as_many_connections_as_it_says(
    dsn: str, provider: ScriptedProvider, pools: int, pool_size: int
) -> None:
    [more] = re.findall(r"and (\d+) more \(beats", TEXT)
    logins = Logins(dsn, None) if pools == 1 else logins_to(dsn)
    async with running_service(dsn, provider, logins=logins, database={"pool_size": pool_size}) as service:
        await service.chat()
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval(SESSIONS) == pools * pool_size + int(more)
        await connection.close()


def test_its_sums_are_those_of_ten_replicas() -> None:
    [more] = re.findall(r"and (\d+) more \(beats", TEXT)
    [pool_size] = re.findall(r"POOL_SIZE` \((\d+)\) for callers", TEXT)
    two, one = 10 * (2 * int(pool_size) + int(more)), 10 * (int(pool_size) + int(more))
    assert f"10 replicas need {two}, with\none login {one}, and with Kafka 10 more" in TEXT
