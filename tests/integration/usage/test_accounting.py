"""Each run is counted once, in the transaction that ends it, and GetUsage tells the sums."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from protos import orchestrator_pb2 as pb
from state.errors import LostAttemptError
from state.models import Attempt, Owner, Record, RunOutcome, RunState, UnattendedRun
from state.postgres.database import Database
from state.postgres.leases import PostgresLeases
from state.postgres.line import PostgresLine
from state.postgres.runs import PostgresRunStore
from state.postgres.usage import PostgresUsage
from state.usage import ModelUsage, Usage
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.harness.priced import CONTINUE, PRICED, resumed, service_with_file, until_text, used
from tests.harness.retention import connected, delete_old, value
from tests.harness.runs import ANN, CANCELLED, REPLICA, SUCCEEDED, last, new_run
from tests.harness.service import Service, chat_request
from tests.harness.statuses import violations

CALL = ModelUsage("acme", "m", input_tokens=10, output_tokens=3, model_calls=1, cost_micros=40)
USED = Usage.of([CALL], currency="EUR")
DONE = replace(SUCCEEDED, usage=USED)
TWO_MODELS = Usage.of([CALL, replace(CALL, model="n", estimated=True)], currency="EUR")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


async def total(database: Database, owner: Owner = ANN) -> Usage:
    agents = await PostgresUsage(database).by_agent(owner, None, None, "EUR")
    return Usage.of((part for agent in agents for part in agent.usage.by_model), currency="EUR")


def ended(run: UnattendedRun) -> tuple[RunOutcome, Record]:
    """The end of a run by somebody who knows what it has used."""
    assert run.usage == USED
    outcome = CANCELLED if run.state is RunState.QUEUED else replace(CANCELLED, state=RunState.FAILED)
    return outcome, last(run.last_sequence + 1)[0]


async def test_an_end_that_is_written_again_is_counted_once(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    for _ in range(3):
        await runs.finish(attempt, DONE, last(1))
    assert await total(database) == USED
    assert await value(database.dsn, "SELECT sum(runs)::int FROM usage_sums") == 1


async def test_an_attempt_that_has_lost_its_run_counts_nothing(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    stale = await runs.begin(new_run(), [])
    await runs.requeue(stale, USED)
    claimed = await PostgresLine(database, database, REPLICA).claim({""})
    assert claimed is not None
    assert claimed.usage == USED
    with pytest.raises(LostAttemptError):
        await runs.finish(stale, replace(DONE, usage=TWO_MODELS), last(1))
    assert await total(database) == Usage(currency="EUR")
    await runs.finish(claimed.attempt, replace(DONE, usage=USED), last(1))
    assert await total(database) == USED


async def test_a_transaction_that_fails_counts_nothing(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempt = await runs.begin(new_run(), [])
    async with connected(database.dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE runs SET state = 'failed', end_time = now()")
        await transaction.rollback()
    assert await value(database.dsn, "SELECT count(*) FROM usage_sums") == 0
    await runs.finish(attempt, DONE, last(1))
    assert await total(database) == USED


async def test_what_the_attempts_of_a_run_used_counts_when_nobody_ends_it(database: Database) -> None:
    """Cancelled while it is in line, or lost by its replica for good."""
    runs = PostgresRunStore(database, REPLICA)
    cancelled, lost = [await runs.begin(new_run(), []) for _ in range(2)]
    await runs.requeue(cancelled, USED)
    await runs.cancel(ANN, cancelled.run_id, ended)
    assert await total(database) == USED
    await runs.requeue(lost, USED)
    assert (await PostgresLine(database, database, REPLICA).claim({""})) is not None
    async with connected(database.dsn) as connection:
        await connection.execute("UPDATE runs SET update_time = update_time - interval '1 hour'")
    leases = PostgresLeases(database, database, REPLICA, version="test")
    await asyncio.sleep(0.2)  # nothing is reaped within a lease of the connection's start
    await leases.reap(0.1, [], [], ended)
    assert (await total(database)).total.model_calls == 2
    assert await value(database.dsn, "SELECT sum(runs)::int FROM usage_sums") == 2


async def test_nobody_waits_for_a_sum_that_somebody_else_is_writing(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempts = [await runs.begin(new_run(), []) for _ in range(3)]
    await runs.finish(attempts[0], replace(DONE, usage=TWO_MODELS), last(1))
    async with connected(database.dsn) as connection, connection.transaction():
        await connection.execute("SELECT FROM usage_sums FOR UPDATE")
        async with asyncio.timeout(5):
            await runs.finish(attempts[1], replace(DONE, usage=TWO_MODELS), last(1))
    await runs.finish(attempts[2], replace(DONE, usage=TWO_MODELS), last(1))
    summed = await total(database)
    assert summed.by_model == (
        ModelUsage("acme", "m", 30, 9, model_calls=3, cost_micros=120),
        ModelUsage("acme", "n", 30, 9, model_calls=3, cost_micros=120, estimated=True),
    )
    assert await value(database.dsn, "SELECT count(*) FROM usage_sums") == 2 * 3


async def test_many_ends_at_once_lose_nothing(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    attempts = [await runs.begin(new_run(), []) for _ in range(40)]

    async def finish(attempt: Attempt) -> None:
        await runs.finish(attempt, replace(DONE, usage=TWO_MODELS), last(1))

    await asyncio.gather(*map(finish, attempts))
    assert (await total(database)).total.model_calls == 80
    assert await value(database.dsn, "SELECT sum(runs)::int FROM usage_sums") == 40
    assert await value(database.dsn, "SELECT count(*)::int FROM usage_sums") <= 3 * 4


async def test_a_row_of_the_release_before_is_counted_as_far_as_it_tells(database: Database) -> None:
    runs = PostgresRunStore(database, REPLICA)
    await runs.begin(new_run(), [])
    part = '{"provider": "p", "model": "m", "input_tokens": 5, "output_tokens": 2}'
    old = f'{{"input_tokens": 5, "model_calls": 1, "by_model": [{part}]}}'
    async with connected(database.dsn) as connection:
        await connection.execute(
            "UPDATE runs SET state = 'succeeded', end_time = now(), usage = $1::jsonb", old
        )
    assert (await total(database)).by_model == (ModelUsage("p", "m", 5, 2, model_calls=1),)


async def test_an_answer_found_in_the_conversation_is_counted_once(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Writing the end fails once, after the conversation was kept: the next attempt calls no model."""
    async with connected(dsn) as connection:
        await connection.execute(FAIL_THE_FIRST_END)
    provider.enqueue(Script(tokens=("one",), usage=ScriptedUsage(20, 3)))
    soon = {"lease_seconds": 1.0, "beat_seconds": 0.3, "reap_seconds": 0.1}
    groups = {"run": soon, "database": {"outage_seconds": 0.0}}
    async with service_with_file(dsn, provider, tmp_path, PRICED, **groups) as service:
        run_id = await until_text(service.stub.StreamChat(chat_request(run_options=CONTINUE)))
        assert await service.run_ended(run_id) == "succeeded"
        (last_chunk,) = [c for c in await resumed(service, run_id) if c.HasField("complete")]
        told = await used(service)
    assert len(provider.ledger) == 1
    assert last_chunk.usage.cost_micros == 20 + 30
    assert told.usage == last_chunk.usage


FAIL_THE_FIRST_END = """
CREATE SEQUENCE ends;
GRANT USAGE ON SEQUENCE ends TO PUBLIC;
CREATE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('ends') = 1 THEN RAISE SQLSTATE '57014'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fail_first BEFORE UPDATE ON runs
    FOR EACH ROW WHEN (NEW.state = 'succeeded') EXECUTE FUNCTION fail_first();
"""


def at(moment: str) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(f"{moment}+00:00"))
    return stamp


async def test_usage_is_told_by_agent_and_model_and_to_its_owner_alone(service: Service) -> None:
    service.provider.default = Script(usage=ScriptedUsage(10, 3, cached_tokens=4, reasoning_tokens=1))
    for _ in range(3):
        await service.chat()
    await service.chat(user_id="bob")
    told = await used(service)
    expected = pb.Usage(
        input_tokens=30,
        output_tokens=9,
        cached_input_tokens=12,
        reasoning_tokens=3,
        model_calls=3,
        cost_micros=3 * (6 + 2 + 30),
        currency="EUR",
    )
    expected.by_model.add(provider="acme", model="m", input_tokens=30, output_tokens=9, cost_micros=114)
    assert told.usage == expected
    assert [(agent.agent_name, agent.usage) for agent in told.by_agent] == [("chat", expected)]
    assert list(told.quotas) == []
    assert (await used(service, "bob")).usage.model_calls == 1
    assert (await used(service, "eve")) == pb.GetUsageResponse(usage=pb.Usage(currency="EUR"))


async def test_a_span_holds_the_runs_created_from_its_start_on_and_before_its_end(service: Service) -> None:
    for moment in ("10:14:59.999", "10:15:00", "10:29:59.999", "10:30:00"):
        service.provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
        call = service.stub.StreamChat(chat_request())
        run_id = await until_text(call)
        async with connected(service.dsn) as connection:
            created = datetime.fromisoformat(f"2026-03-01T{moment}+00:00")
            statement = "UPDATE runs SET create_time = $1 WHERE run_id = $2"
            await connection.execute(statement, created, UUID(run_id))
        service.provider.release()
        async for _ in call:
            pass

    async def calls(**span: Any) -> int:
        return (await used(service, **span)).usage.model_calls

    quarter, next_quarter = at("2026-03-01T10:15"), at("2026-03-01T10:30")
    assert await calls() == 4
    assert await calls(start_time=quarter, end_time=next_quarter) == 2
    assert await calls(end_time=quarter) == 1
    assert await calls(start_time=next_quarter) == 1
    assert await calls(start_time=quarter, end_time=quarter) == 0


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"user_id": ""}, "user_id"),
        ({"start_time": at("2026-03-01T10:01")}, "start_time"),
        ({"end_time": Timestamp(seconds=900, nanos=1)}, "end_time"),
        ({"end_time": Timestamp(seconds=900 * 10**12)}, "end_time"),
        ({"start_time": Timestamp(seconds=-900 * 10**12)}, "start_time"),
        ({"start_time": at("2026-03-02"), "end_time": at("2026-03-01")}, "end_time"),
    ],
)
async def test_a_span_that_cannot_be_told_is_refused(
    service: Service, fields: dict[str, object], named: str
) -> None:
    request = pb.GetUsageRequest(**{"user_id": "ann", **fields})  # type: ignore[arg-type]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.stub.GetUsage(request)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(raised.value)) == [named]


async def test_sums_outlive_their_runs_and_go_when_their_time_has_come(service: Service) -> None:
    await service.chat(conversation_id="c1")
    await service.stub.DeleteConversation(pb.DeleteConversationRequest(user_id="ann", conversation_id="c1"))
    assert (await used(service)).usage.model_calls == 1
    async with connected(service.dsn) as connection:
        await connection.execute("UPDATE usage_sums SET since = since - interval '10 hours'")
    await delete_old(service.dsn, usage=11)
    assert (await used(service)).usage.model_calls == 1
    await delete_old(service.dsn, usage=9)
    assert (await used(service)).usage.model_calls == 0
