"""Plans of the statements that are asked all the time, on large tables: TEST_SCALE=20 is a million rows."""

import asyncio
import importlib
import pkgutil
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest

import state.postgres
from tests.harness.postgres import fresh_database, logins_to
from tests.harness.scale import scaled
from tests.integration.plans.explaining import Hot, explained
from tests.integration.plans.rows import LARGE, fill
from tests.integration.plans.statements import HOT, SELDOM

ROWS = scaled(50_000)
_STATEMENT = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")


def _constants() -> Mapping[str, str]:
    """Every statement of the stores, by the module that has it first and its name there."""
    found: dict[str, str] = {}
    for module in pkgutil.walk_packages(state.postgres.__path__, "state.postgres."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.strip("_").isupper() and isinstance(value, str) and _STATEMENT.match(value):
                found[f"{module.name.removeprefix('state.postgres.')}.{name}"] = value
    return found


STATEMENTS = _constants()


@pytest.fixture(scope="module")
def full(server_dsn: str) -> Iterator[str]:
    """The address of a database with ROWS rows in every large table, the same for all that only look."""
    stack = AsyncExitStack()

    async def made() -> str:
        dsn = await stack.enter_async_context(fresh_database(server_dsn))
        await fill(dsn, ROWS)
        return dsn

    with ThreadPoolExecutor(1) as thread, asyncio.Runner() as runner:
        run: Callable[[Coroutine[Any, Any, Any]], Any] = lambda done: thread.submit(runner.run, done).result()  # noqa: E731
        yield run(made())
        run(stack.aclose())


@asynccontextmanager
async def _login(dsn: str, hot: Hot) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    logins = logins_to(dsn)
    address = logins.work if hot.by == "worker" else logins.callers
    connection = await asyncpg.connect(address, server_settings={"search_path": "orchestrator"})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("name", HOT)
async def test_a_hot_statement_finds_its_rows_by_its_indexes(full: str, name: str) -> None:
    hot = HOT[name]
    async with _login(full, hot) as connection:
        plan = await explained(connection, STATEMENTS[name], hot)
    assert not plan.scanned & LARGE, plan.text
    assert hot.indexes <= plan.indexes, plan.text
    assert plan.blocks <= hot.blocks, plan.text


def test_every_statement_of_the_stores_has_its_plan_pinned_or_a_reason_why_not() -> None:
    of_their_own = {text: name for name, text in reversed(list(STATEMENTS.items()))}
    listed = {STATEMENTS[name] for name in (*HOT, *SELDOM)}
    assert not {name for text, name in of_their_own.items() if text not in listed}
    assert not HOT.keys() & SELDOM.keys()


async def test_a_statement_that_looks_at_everything_is_seen(full: str) -> None:
    hot = Hot("'none'", frozenset())
    async with _login(full, hot) as connection:
        plan = await explained(connection, "SELECT count(*) FROM runs WHERE agent_name = $1", hot)
    assert plan.scanned == {"runs"}
    assert plan.blocks > hot.blocks
