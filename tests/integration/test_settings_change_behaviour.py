"""Each setting, changed, changes what the service does; command line and start-up have tests of their own."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from time import monotonic

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from state.event_log import EventLog
from state.models import Attempt, Owner, Record, RunId
from state.postgres.database import Database
from state.postgres.events import PostgresEventStore
from state.postgres.runs import PostgresRunStore
from tests.fakes.scripted_provider.addresses import silent_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.configured import configured
from tests.harness.retention import HOUR, age, counts, heard_passes
from tests.harness.runs import ANN, REPLICA, new_run
from tests.harness.service import Service, chat_request, collect, running_service, settings_for_tests
from tests.harness.statuses import error_info


@asynccontextmanager
async def as_configured(
    dsn: str, provider: ScriptedProvider, /, **groups: Mapping[str, object]
) -> AsyncIterator[Service]:
    """A service whose model, too, is made from the settings, as `python main.py` makes it."""
    settings = settings_for_tests(**groups).model_copy(update={"openai_base_url": provider.base_url})
    async with configured(settings, dsn, provider) as service:
        yield service


async def failure(service: Service) -> tuple[str, float]:
    """The reason of a call that fails, and how long it took, seconds."""
    began = monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.StreamChat(chat_request()), [])
    return error_info(raised.value).reason, monotonic() - began


@pytest.mark.parametrize(
    ("name", "script", "reason"),
    [
        ("first_token_seconds", Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS)), "PROVIDER_UNAVAILABLE"),
        ("between_tokens_seconds", Script(fault=Fault(FaultKind.HANG, after=1)), "PROVIDER_BROKEN"),
        ("total_seconds", Script(tokens=("a",) * 100, token_interval=0.1), "PROVIDER_BROKEN"),
    ],
)
async def test_a_provider_time_out_is_as_long_as_its_setting(
    dsn: str, provider: ScriptedProvider, name: str, script: Script, reason: str
) -> None:
    provider.default = script
    async with as_configured(dsn, provider, provider={name: 0.3}) as service:
        failed_with, seconds = await failure(service)
    assert failed_with == reason
    assert 0.25 < seconds < 3


async def test_the_wait_for_a_connection_is_as_long_as_its_setting(dsn: str) -> None:
    limits = {"connect_seconds": 0.3, "first_token_seconds": 20.0}
    with silent_address() as address:
        nobody = ScriptedProvider(port=int(address.rpartition(":")[2]))
        async with as_configured(dsn, nobody, provider=limits) as service:
            reason, seconds = await failure(service)
    assert reason == "PROVIDER_UNAVAILABLE"
    assert 0.25 < seconds < 3


@pytest.mark.parametrize("most", [1, 2])
async def test_the_model_without_a_file_is_called_as_often_at_once_as_its_setting(
    dsn: str, provider: ScriptedProvider, most: int
) -> None:
    provider.default = Script(tokens=("one", " two"), hold_after=1)
    options = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
    async with as_configured(dsn, provider, provider={"max_concurrency": most}) as service:
        calls = [service.stub.StreamChat(chat_request(run_options=options)) for _ in range(3)]
        readers = [asyncio.create_task(collect(call, [])) for call in calls]
        for number in range(most):
            await (await provider.call(number + 1)).sent(1)
        for refused in islice(asyncio.as_completed(readers, timeout=10), 3 - most):
            with pytest.raises(grpc.aio.AioRpcError):
                await refused
        provider.release()
        ended = await asyncio.gather(*readers, return_exceptions=True)
    assert sum(isinstance(one, grpc.aio.AioRpcError) for one in ended) == 3 - most
    assert provider.most_in_flight == len(provider.ledger) == most


@pytest.mark.parametrize(("least", "left"), [(1, 5), (8, 8)])
async def test_a_provider_that_refuses_gets_no_fewer_calls_than_the_setting_says(
    dsn: str, provider: ScriptedProvider, least: int, left: int
) -> None:
    provider.enqueue(Script(status=429))
    options = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
    limits = {"max_concurrency": 10, "min_concurrency": least}
    async with as_configured(dsn, provider, provider=limits) as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.chat(run_options=options)
        status = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
    assert [one.concurrency_limit for one in status.providers] == [left]


async def test_the_context_of_the_model_decides_how_much_is_remembered(
    dsn: str, provider: ScriptedProvider
) -> None:
    shown = {}
    for tokens in (1024, 100_000):
        async with as_configured(dsn, provider, provider={"context_tokens": tokens}) as service:
            for number in range(4):
                await service.chat(f"{number} " + "x" * 1000, conversation_id=f"c{tokens}")
        shown[tokens] = len(provider.ledger[-1].body["messages"])
    assert shown[1024] < shown[100_000] == 8


async def test_the_pool_has_as_many_connections_as_its_setting(dsn: str, provider: ScriptedProvider) -> None:
    connection = await asyncpg.connect(dsn)
    counted = []
    for size in (1, 6):
        async with running_service(dsn, provider, database={"pool_size": size}):
            counted.append(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'llm-orchestrator' AND datname = current_database()"
                )
            )
    await connection.close()
    assert counted[1] - counted[0] == 2 * 5  # one pool for runs, one for callers


@pytest.mark.parametrize("name", ["statement_seconds", "acquire_seconds"])
async def test_a_database_that_does_not_answer_is_waited_for_as_long_as_its_setting(
    dsn: str, provider: ScriptedProvider, name: str
) -> None:
    """A lock holds the first call; with one connection the second cannot even begin."""
    settings = {"pool_size": 1, "statement_seconds": 5.0, "acquire_seconds": 5.0, name: 0.3}
    locker = await asyncpg.connect(dsn)
    async with running_service(dsn, provider, database=settings) as service:
        transaction = locker.transaction()
        await transaction.start()
        await locker.execute("LOCK TABLE orchestrator.runs")
        results = await asyncio.gather(failure(service), failure(service))
        await transaction.rollback()
    await locker.close()
    fastest_reason, fastest = min(results, key=lambda result: result[1])
    assert fastest_reason == "DATABASE_UNAVAILABLE"
    assert 0.25 < fastest < 3


class CountingStore(PostgresEventStore):
    """The real store, counting what is read from it."""

    reads = 0

    async def read(self, owner: Owner, run_id: RunId, after: int, limit: int) -> Sequence[Record]:
        self.reads += 1
        return await super().read(owner, run_id, after, limit)


@pytest.mark.parametrize(("tail_records", "from_the_store"), [(100, False), (2, True)])
async def test_a_reader_behind_the_tail_reads_from_the_store(
    dsn: str, tail_records: int, from_the_store: bool
) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=2) as database:
        store = CountingStore(database)
        log = EventLog(store, tail_records=tail_records)
        run = new_run(ANN)
        log.open(run.run_id)
        attempt: Attempt = await PostgresRunStore(database, REPLICA).begin(run, [])
        await log.append(attempt, [Record(n, b"x", terminal=False) for n in range(1, 10)])
        async with aclosing(log.read(ANN, run.run_id)) as records:
            read = [await anext(records) for _ in range(9)]
            assert [record.sequence for record in read if record] == list(range(1, 10))
        assert (store.reads > 0) is from_the_store


async def test_the_window_gathers_text_for_as_long_as_its_setting(
    dsn: str, provider: ScriptedProvider
) -> None:
    chunks: dict[float, int] = {}
    for window in (0.0, 1.0):
        provider.enqueue(Script(tokens=("a",) * 10, token_interval=0.02))
        async with running_service(dsn, provider, stream={"window_seconds": window}) as service:
            answer: list[pb.ChatChunk] = await service.chat()
        chunks[window] = len([chunk for chunk in answer if chunk.HasField("content")])
    assert chunks[1.0] <= 2 < chunks[0.0]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("checkpoints_idle_seconds", "checkpoints"),
        ("events_seconds", "run_events"),
        ("runs_seconds", "runs"),
        ("outbox_seconds", "outbox"),
    ],
)
async def test_what_is_old_is_deleted_after_as_long_as_its_setting(
    dsn: str, provider: ScriptedProvider, name: str, table: str
) -> None:
    names = ("checkpoints_idle_seconds", "events_seconds", "runs_seconds", "outbox_seconds")
    async with running_service(dsn, provider) as service:
        for _ in range(2):
            await service.chat(conversation_id="c1")
    await age(dsn, hours=10)
    before = await counts(dsn)
    after = {}
    for hours in (11, 9):
        # A run may go no sooner than what tells its age by it.
        lowered = names if name == "runs_seconds" else (name,)
        ages = {one: (hours if one in lowered else 11) * HOUR for one in names}
        with heard_passes() as passes:
            async with running_service(dsn, provider, retention=ages):
                await passes.number(1)
        after[hours] = await counts(dsn)
    assert after[11] == before
    assert after[9][table] < before[table]


async def test_retention_passes_come_as_often_as_their_setting(dsn: str, provider: ScriptedProvider) -> None:
    between = {}
    for interval in (1, 2):
        with heard_passes() as passes:
            async with running_service(dsn, provider, retention={"interval_seconds": interval}):
                await passes.number(2)
        between[interval] = passes.times[1] - passes.times[0]
    assert 0.99 < between[1] < 1.99 < between[2]
