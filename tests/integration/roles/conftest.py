"""A database with rows of two owners, and the two logins of a service."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from state.models import ReplicaId, RunId
from state.postgres.database import Database
from state.postgres.stores import PostgresStores
from tests.harness.postgres import logins_to
from tests.integration.roles.rows import ANN, BOB, write

ANNS, BOBS = RunId(uuid4().hex), RunId(uuid4().hex)


@pytest.fixture
async def rows(dsn: str) -> str:
    """The address of a database in which ann and bob have one row in each table."""
    await write(dsn, ANN, ANNS)
    await write(dsn, BOB, BOBS)
    return dsn


@pytest.fixture
async def callers(rows: str) -> AsyncIterator[Database]:
    """One connection of the callers' login, so that whoever comes next has the same one."""
    login = logins_to(rows).callers
    assert login is not None
    async with Database(login, schema="orchestrator", pool_size=1) as database:
        yield database


@pytest.fixture
async def owner(rows: str) -> AsyncIterator[Database]:
    async with Database(rows, schema="orchestrator", pool_size=1) as database:
        yield database


@pytest.fixture
async def stores(rows: str) -> AsyncIterator[PostgresStores]:
    """As a service has them."""
    logins = logins_to(rows)
    async with PostgresStores(
        logins.work,
        ReplicaId(uuid4().hex),
        version="0",
        schema="orchestrator",
        pool_size=2,
        acquire_seconds=5.0,
        statement_seconds=5.0,
        outage_seconds=0.0,
        callers_dsn=logins.callers,
    ) as stores:
        yield stores
