"""Row-level security: what a query sees from which somebody has lost the condition on the owner."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from state.errors import DatabaseUnavailableError
from state.models import Owner
from state.postgres.database import Database
from state.postgres.roles import CALLERS_MAY, roles_of
from tests.integration.roles.conftest import ANNS, BOBS
from tests.integration.roles.rows import ANN, BOB, OWNED

SEEN = [table for table in OWNED if "SELECT" in CALLERS_MAY.get(table, ())]
CHANGED = [table for table in OWNED if CALLERS_MAY.get(table, frozenset()) & {"UPDATE", "DELETE"}]

# A table without row-level security or without the worker's policy; one with owners but without theirs; one
# whose callers may do something although nothing is written down about it.
UNGUARDED = """
SELECT c.relname FROM pg_class c
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'orchestrator'::regnamespace AND NOT (
    c.relrowsecurity
    AND EXISTS (
        SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'all_for_the_worker'
            AND p.polroles = ARRAY[$1::regrole::oid]
    )
    AND (
        NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'owner')
        OR EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'of_the_owner')
    )
    AND (
        c.relname = ANY ($3) OR NOT has_table_privilege($2, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
    )
)
"""


async def unguarded(owner: Database) -> list[str]:
    roles = roles_of("orchestrator")
    async with owner.connection() as connection:
        rows = await connection.fetch(UNGUARDED, roles.work, roles.callers, list(CALLERS_MAY))
    return [row["relname"] for row in rows]


async def test_every_table_is_guarded(owner: Database) -> None:
    assert await unguarded(owner) == []


async def test_every_table_with_owners_is_among_those_tried_here(owner: Database) -> None:
    async with owner.connection() as connection:
        rows = await connection.fetch(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'orchestrator' AND column_name = 'owner'"
        )
    assert {row["table_name"] for row in rows} == set(OWNED)


NEWCOMERS = (
    "CREATE TABLE newcomer (id integer)",
    "CREATE TABLE newcomer (owner text); ALTER TABLE newcomer ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY all_for_the_worker ON newcomer TO orchestrator_worker USING (true)",
    "CREATE TABLE newcomer (id integer); ALTER TABLE newcomer ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY all_for_the_worker ON newcomer TO orchestrator_worker USING (true); "
    "GRANT UPDATE ON newcomer TO orchestrator_rpc",
)


async def test_a_new_table_without_its_guard_is_noticed(owner: Database) -> None:
    for table in NEWCOMERS:
        async with owner.connection() as connection:
            await connection.execute(f"DROP TABLE IF EXISTS newcomer; {table}")
        assert await unguarded(owner) == ["newcomer"]


async def test_without_a_condition_only_the_owners_rows_are_seen(callers: Database) -> None:
    for table in SEEN:
        query = f"SELECT owner FROM {table}"  # noqa: S608
        async with callers.asking(ANN) as connection:
            assert {row["owner"] for row in await connection.fetch(query)} == {"ann"}
        # $1 has to stand somewhere: the broken query has no other use for it.
        asked = await callers.asked(f"{query} WHERE $1 <> ''", BOB)
        assert {row["owner"] for row in asked} == {"bob"}


async def test_without_an_owner_nothing_is_seen(callers: Database) -> None:
    for table in SEEN:
        query = f"SELECT owner FROM {table}"  # noqa: S608
        async with callers.connection() as connection:
            assert await connection.fetch(query) == []
        for name in ("", "nobody", "ANN", "%", "ann "):
            async with callers.asking(Owner(name)) as connection:
                assert await connection.fetch(query) == []


async def test_a_change_without_a_condition_reaches_only_the_owners_rows(
    callers: Database, owner: Database
) -> None:
    async with owner.connection() as connection:
        await connection.execute("ALTER TABLE permissions DISABLE TRIGGER permissions_are_decided_once")
    for table in reversed(CHANGED):  # runs, the first, takes the others with it
        deletes = "DELETE" in CALLERS_MAY[table]
        change = f"DELETE FROM {table}" if deletes else f"UPDATE {table} SET owner = owner"  # noqa: S608
        async with callers.connection() as connection:
            assert (await connection.execute(change)).endswith(" 0")
        async with callers.asking(ANN) as connection:
            assert (await connection.execute(change)).endswith(" 1")
        async with owner.connection() as connection:
            left = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE owner = 'bob'")  # noqa: S608
            assert left == 1


INSERTS = {
    "run_events": ("run_id, sequence, payload", f"'{ANNS}', 7, ''"),
    "outbox": ("type", "'run.queued'"),
    "permission_audit": (
        "permission_id, actor, action, scope, digest, reason, request_id",
        f"'{ANNS}', '', '', '', '', '', ''",
    ),
    "usage_sums": ("since, agent_name, provider, model, currency", "now(), '', '', '', ''"),
}


async def test_nothing_is_written_in_the_name_of_another(callers: Database) -> None:
    for table, (columns, values) in INSERTS.items():
        insert = f"INSERT INTO {table} (owner, {columns}) VALUES ($1, {values})"  # noqa: S608
        async with callers.asking(ANN) as connection:
            await connection.execute(insert, "ann")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            async with callers.asking(ANN) as connection:
                await connection.execute(insert, "bob")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with callers.asking(ANN) as connection:
            await connection.execute("UPDATE usage_sums SET owner = 'bob'")


FORBIDDEN = (
    "DROP TABLE runs",
    "TRUNCATE runs",
    "ALTER TABLE runs DISABLE ROW LEVEL SECURITY",
    "DROP POLICY of_the_owner ON runs",
    "ALTER POLICY of_the_owner ON runs USING (true)",
    "CREATE POLICY mine ON runs USING (true)",
    "ALTER TABLE runs DISABLE TRIGGER ALL",
    "GRANT orchestrator_worker TO orchestrator_rpc",
    "SET ROLE orchestrator_worker",
    "SET SESSION AUTHORIZATION orchestrator_worker",
    "SET session_replication_role = replica",
    "ALTER ROLE orchestrator_rpc BYPASSRLS",
    "CREATE TABLE orchestrator.mine ()",
    "CREATE OR REPLACE FUNCTION place_in_line(asked uuid) RETURNS bigint LANGUAGE sql AS 'SELECT 1'",
    "SELECT * FROM replicas",
    "SELECT * FROM effects",
    "SELECT * FROM outbox",
    "SELECT * FROM agent_versions",
    "UPDATE line_marks SET refusing = true",
    "SELECT * FROM schema_migrations",
    "SELECT rolpassword FROM pg_authid",
    "COPY runs TO PROGRAM 'cat'",
    "SET LOCAL row_security = off; SELECT * FROM runs",
)


async def test_the_callers_login_may_change_nothing_of_all_this(callers: Database) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with callers.asking(ANN) as connection:
                await connection.execute(statement)


async def test_the_owner_of_one_question_is_forgotten_before_the_next(callers: Database) -> None:
    everything = "SELECT owner FROM runs WHERE $1 <> ''"
    bare = "SELECT owner, current_setting('orchestrator.owner', true) AS said FROM runs"
    assert len(await callers.asked(everything, ANN)) == 1
    with pytest.raises(asyncpg.DivisionByZeroError):
        await callers.asked("SELECT 1 / (length($1) - 3) FROM runs", ANN)
    with pytest.raises(RuntimeError):
        async with callers.asking(ANN) as connection:
            raise RuntimeError
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(callers.asked("SELECT pg_sleep(10) WHERE $1 <> ''", ANN), 0.1)
    async with callers.connection() as connection:
        assert await connection.fetch(bare) == []
        assert not await connection.fetchval("SELECT current_setting('orchestrator.owner', true)")
        assert not await connection.fetchval("SELECT current_setting('orchestrator.thread', true)")


async def test_many_who_ask_at_once_see_their_own(rows: str, callers: Database) -> None:
    async def ask(owner: Owner) -> None:
        for _ in range(50):
            seen = await callers.asked("SELECT owner FROM run_events WHERE $1 <> ''", owner)
            assert [row["owner"] for row in seen] == ([owner] if owner in (ANN, BOB) else [])

    await asyncio.gather(*(ask(owner) for owner in (ANN, BOB, Owner("cyd"), ANN)))


async def test_rows_without_an_owner_are_those_of_the_named_thread(
    callers: Database, owner: Database
) -> None:
    insert = "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES ($1, 'official', '{}')"
    async with owner.connection() as connection:
        await connection.executemany(insert, [("one",), ("two",)])
    official = "SELECT thread_id FROM checkpoints WHERE checkpoint_id = 'official'"
    async with callers.asking(ANN) as connection:
        assert await connection.fetch(official) == []
    async with callers.asking(ANN, thread="one") as connection:
        assert [row["thread_id"] for row in await connection.fetch(official)] == ["one"]


PLACE = "SELECT place_in_line($2::uuid) AS place WHERE $1 <> ''"


async def test_a_place_in_line_counts_the_others_and_is_told_to_its_owner_alone(callers: Database) -> None:
    places = [await callers.asked_one(PLACE, owner, UUID(run)) for owner, run in ((ANN, ANNS), (BOB, BOBS))]
    assert sorted(row["place"] for row in places if row) == [1, 2]
    foreign = await callers.asked_one(PLACE, ANN, UUID(BOBS))
    assert foreign is not None
    assert foreign["place"] is None
    async with callers.connection() as connection:
        assert await connection.fetchval("SELECT place_in_line($1)", UUID(ANNS)) is None


async def test_no_table_of_the_callers_stands_in_for_one_of_ours(callers: Database) -> None:
    async with callers.asking(ANN) as connection:
        await connection.execute("CREATE TEMP TABLE runs (owner text) ON COMMIT DROP")
        assert await connection.fetchval("SELECT place_in_line($1)", UUID(ANNS)) in (1, 2)


async def test_a_refused_login_is_our_own_error(rows: str) -> None:
    wrong = rows.replace("://orchestrator:", "://orchestrator_rpc:")
    with pytest.raises(DatabaseUnavailableError):
        async with Database(wrong, schema="orchestrator", pool_size=1):
            pass
