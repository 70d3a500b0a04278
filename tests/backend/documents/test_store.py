"""The store: migrations, one answer for a call among processes, parts that come together."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from backend.store.calls import PostgresCallStore
from backend.store.database import Database
from backend.store.errors import MigrationError, StoreUnavailableError
from backend.store.migrate import Migration, migrate
from backend.tools.all import TwoPartsError, composed
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Answer, Call, CallKey, UnavailableError
from tests.backend.documents.backend import Backend
from tests.toolserver.backend import TYPED

KEY = CallKey("ann", "AddOrgInboxItem", "t1")
ANSWER = Answer(b"digest", b"response")
# Only of this database: other tests have locks of their own on the server.
HOLDERS = """
WITH locks AS (
    SELECT l.* FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE locktype = 'advisory' AND datname = current_database()
)
SELECT count(pg_terminate_backend(held.pid)) FROM locks held JOIN locks wanted
    ON (held.classid, held.objid) = (wanted.classid, wanted.objid) AND held.granted AND NOT wanted.granted
"""
OURS = {
    "SearchDocuments",
    "GetDocument",
    "GetDocumentContent",
    "SearchEntities",
    "GetEntity",
    "ExpandQuery",
    "SearchConversationCache",
}


async def test_migrations_are_applied_once_by_however_many(backend_dsn: str, schema: str) -> None:
    counts = await asyncio.gather(*(migrate(backend_dsn, schema=schema) for _ in range(4)))

    assert sorted(counts)[:3] == [0, 0, 0]
    assert max(counts) >= 4


async def test_a_migration_with_a_lower_number_may_come_later(backend_dsn: str, schema: str) -> None:
    late, early = Migration(10, "0010_b", "CREATE TABLE b ()"), Migration(2, "0002_a", "CREATE TABLE a ()")

    assert await migrate(backend_dsn, schema=schema, migrations=[late]) == 1
    assert await migrate(backend_dsn, schema=schema, migrations=[early, late]) == 1
    for wrong in ([early], [early, Migration(10, "0010_b", "-- changed")], [early, late, late]):
        with pytest.raises(MigrationError):
            await migrate(backend_dsn, schema=schema, migrations=wrong)


async def test_an_answer_is_kept_for_all_processes(backend_dsn: str, schema: str) -> None:
    await migrate(backend_dsn, schema=schema)
    async with (
        PostgresCallStore(backend_dsn, schema=schema) as one,
        PostgresCallStore(backend_dsn, schema=schema) as other,
    ):
        assert await one.claim(KEY) is None
        waiting = asyncio.create_task(other.claim(KEY))
        of_bob = CallKey("bob", KEY.rpc, KEY.call_id)
        assert await other.claim(of_bob) is None  # nobody else waits
        await other.release(of_bob)
        assert not waiting.done()
        await one.keep(KEY, ANSWER)
        assert await waiting == ANSWER
    async with PostgresCallStore(backend_dsn, schema=schema) as later:
        assert await later.claim(KEY) == ANSWER


async def test_a_call_of_a_process_that_died_is_free(backend_dsn: str, schema: str) -> None:
    await migrate(backend_dsn, schema=schema)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(PostgresCallStore(backend_dsn, schema=schema))
        other = await stack.enter_async_context(PostgresCallStore(backend_dsn, schema=schema))
        admin = await stack.enter_async_context(Database(backend_dsn, schema=schema))
        await one.claim(KEY)
        waiting = asyncio.create_task(other.claim(KEY))
        async with admin.connection() as connection:
            killed = 0
            while not killed:  # until it holds its lock, and the other waits for it
                killed = await connection.fetchval(HOLDERS)
        assert await waiting is None
        with pytest.raises(StoreUnavailableError):
            await one.keep(KEY, ANSWER)
        await one.release(KEY)
        await other.keep(KEY, ANSWER)
        assert await one.claim(KEY) == ANSWER


async def test_a_released_or_forgotten_call_is_made_anew(backend_dsn: str, schema: str) -> None:
    await migrate(backend_dsn, schema=schema)
    async with PostgresCallStore(backend_dsn, schema=schema, seconds=0.0, claims=1) as store:
        for _ in range(2):
            assert await store.claim(KEY) is None
            await store.release(KEY)
        await store.claim(KEY)
        await store.keep(KEY, ANSWER)
        await store.claim(CallKey("ann", KEY.rpc, "t2"))
        await store.keep(CallKey("ann", KEY.rpc, "t2"), ANSWER)  # which forgets what is older
        assert await store.claim(KEY) is None
        await store.release(KEY)


async def test_a_database_that_cannot_answer_is_unavailable(backend_dsn: str) -> None:
    nobody = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(StoreUnavailableError):
        await nobody.__aenter__()
    async with Database(backend_dsn, statement_seconds=0.05) as slow:
        with pytest.raises(StoreUnavailableError):
            async with slow.connection() as connection:
                await connection.execute("SELECT pg_sleep(30)")
    async with Database(backend_dsn) as full:
        with pytest.raises(StoreUnavailableError):
            async with full.connection() as connection:
                await connection.execute(
                    "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$"
                )
    with pytest.raises(StoreUnavailableError):
        async with slow.connection():
            pass
    assert issubclass(StoreUnavailableError, UnavailableError)


async def test_a_part_that_is_not_there_is_unimplemented(backend: Backend) -> None:
    for rpc in sorted(set(TYPED) - OURS):
        assert (await backend.refused(rpc)).code.name == "UNIMPLEMENTED"


async def test_no_two_parts_serve_one_rpc() -> None:
    class Weather:
        async def get_weather_data(self, _call: Call, request: pb.WeatherRequest) -> pb.WeatherResponse:
            return pb.WeatherResponse(location=request.location)

    handlers = composed([Weather()])
    answer = await handlers.get_weather_data(Call("ann"), pb.WeatherRequest(location="Rome"))

    assert answer.location == "Rome"
    with pytest.raises(TwoPartsError, match="get_weather_data"):
        composed([Weather(), Weather()])
