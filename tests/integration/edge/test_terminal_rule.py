"""However a run ends: one terminal chunk, the last of its log, and a status and a row that say the same."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.file.entries import Timeouts
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.proxy import TcpProxy
from tests.harness.service import TIMEOUTS, Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay

# The loop on which we serve; what is tested here knows nothing of loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

Code = grpc.StatusCode
SHORT = Timeouts(connect_seconds=0.3, first_token_seconds=0.3, between_tokens_seconds=0.3, total_seconds=30.0)
HELD = Script(tokens=("one", " two"), hold_after=1)


@dataclass(frozen=True, slots=True)
class Failing:
    """A run that fails, and what everybody must be told of it."""

    script: Script
    code: grpc.StatusCode
    reason: str
    retry_after: float | None = None
    partial: str = ""
    state: str = "failed"
    timeouts: Timeouts = TIMEOUTS
    run_seconds: float = 60.0


def breaking(kind: FaultKind, after: int = 0) -> Script:
    return Script(tokens=("one", " two", " three"), fault=Fault(kind, after))


FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)
DRAINED = Failing(HELD, Code.UNAVAILABLE, "DRAINING", 1.0, "one")
INTERNAL = Failing(HELD, Code.INTERNAL, "INTERNAL", partial="one two")
FAILING = {
    "500": Failing(Script(status=500), Code.UNAVAILABLE, "PROVIDER_UNAVAILABLE", 5.0),
    "429": Failing(Script(status=429, retry_after=7), Code.RESOURCE_EXHAUSTED, "PROVIDER_SATURATED", 7.0),
    "401": Failing(Script(status=401), Code.FAILED_PRECONDITION, "PROVIDER_REJECTED"),
    "cut at once": Failing(
        breaking(FaultKind.CUT_BEFORE_HEADERS), Code.UNAVAILABLE, "PROVIDER_UNAVAILABLE", 5.0
    ),
    "cut": Failing(breaking(FaultKind.CUT, 1), Code.UNAVAILABLE, "PROVIDER_BROKEN", 1.0, "one"),
    "garbage": Failing(breaking(FaultKind.GARBAGE_LINE, 1), Code.UNAVAILABLE, "PROVIDER_BROKEN", 1.0, "one"),
    "HTML": Failing(breaking(FaultKind.HTML), Code.UNAVAILABLE, "PROVIDER_BROKEN", 1.0),
    "empty": Failing(breaking(FaultKind.EMPTY_BODY), Code.UNAVAILABLE, "PROVIDER_BROKEN", 1.0),
    "silent at once": Failing(
        breaking(FaultKind.HANG_BEFORE_HEADERS),
        Code.UNAVAILABLE,
        "PROVIDER_UNAVAILABLE",
        5.0,
        timeouts=SHORT,
    ),
    "silent": Failing(
        breaking(FaultKind.HANG, 1), Code.UNAVAILABLE, "PROVIDER_BROKEN", 1.0, "one", timeouts=SHORT
    ),
    "run limit": Failing(
        HELD,
        Code.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
        None,
        "one",
        "expired",
        run_seconds=0.3,
    ),
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres has of a run."""

    state: str
    error_reason: str | None
    result: str | None
    last_sequence: int
    ended: bool
    log: list[pb.ChatChunk]
    terminal: list[int]


async def stored(dsn: str, run_id: str) -> Stored:
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow("SELECT * FROM orchestrator.runs WHERE run_id = $1", UUID(run_id))
    events = await connection.fetch(
        "SELECT * FROM orchestrator.run_events WHERE run_id = $1 ORDER BY sequence", UUID(run_id)
    )
    await connection.close()
    assert row is not None
    return Stored(
        state=row["state"],
        error_reason=row["error_reason"],
        result=row["result"],
        last_sequence=row["last_sequence"],
        ended=row["end_time"] is not None,
        log=[pb.ChatChunk.FromString(event["payload"]) for event in events],
        terminal=[event["sequence"] for event in events if event["terminal"]],
    )


def is_terminal(chunk: pb.ChatChunk) -> bool:
    return chunk.HasField("complete") or chunk.HasField("error")


async def assert_all_agree(
    dsn: str, chunks: list[pb.ChatChunk], error: grpc.aio.AioRpcError, expected: Failing
) -> None:
    """Chunks, status, log and row."""
    last, count = chunks[-1], len(chunks)
    assert [chunk for chunk in chunks if is_terminal(chunk)] == [last]
    assert [chunk.sequence for chunk in chunks] == list(range(1, count + 1))
    assert text_of(chunks) == expected.partial

    assert error.code() is expected.code
    assert last.error.code == expected.code.value[0]
    assert error_info(error).reason == last.error.reason == expected.reason
    assert error.details() == last.error.message != ""
    assert dict(error_info(error).metadata) == dict(last.error.metadata)
    assert retry_delay(error) == expected.retry_after
    assert last.error.retryable is last.error.HasField("retry_after") is (expected.retry_after is not None)
    assert last.error.retry_after.ToNanoseconds() / 1e9 == (expected.retry_after or 0)

    run = await stored(dsn, last.run_id)
    assert [chunk.sequence for chunk in run.log] == list(range(1, count + 1))
    assert run.terminal == [count] == [run.last_sequence]
    assert run.log[-1].error == last.error
    assert (run.state, run.error_reason) == (expected.state, expected.reason)
    assert run.result == expected.partial
    assert run.ended


@pytest.mark.parametrize("name", FAILING)
async def test_a_run_that_fails_says_so_once_and_the_same_everywhere(
    dsn: str, provider: ScriptedProvider, name: str
) -> None:
    failing = FAILING[name]
    provider.enqueue(failing.script)
    chunks: list[pb.ChatChunk] = []
    limits = {"max_seconds": failing.run_seconds}
    async with running_service(dsn, provider, timeouts=failing.timeouts, run=limits) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(service.stub.StreamChat(chat_request(run_options=FAIL)), chunks)
    await assert_all_agree(dsn, chunks, raised.value, failing)


@pytest.mark.parametrize("tokens", [("one", " two"), ()], ids=["text", "no text"])
async def test_a_run_that_succeeds_says_so_once_and_the_same_everywhere(
    service: Service, tokens: tuple[str, ...]
) -> None:
    service.provider.enqueue(Script(tokens=tokens))
    call = service.stub.StreamChat(chat_request())
    chunks = [chunk async for chunk in call]
    assert await call.code() is Code.OK
    assert [chunk for chunk in chunks if is_terminal(chunk)] == chunks[-1:]
    assert chunks[-1].complete.final_text == text_of(chunks) == "".join(tokens)
    run = await stored(service.dsn, chunks[-1].run_id)
    assert [chunk.sequence for chunk in run.log] == [chunk.sequence for chunk in chunks]
    assert run.terminal == [len(chunks)] == [run.last_sequence]
    assert run.log[-1].complete == chunks[-1].complete
    assert (run.state, run.error_reason, run.ended) == ("succeeded", None, True)


async def fail_in_an_unforeseen_way(service: Service) -> tuple[list[pb.ChatChunk], grpc.aio.AioRpcError]:
    service.provider.enqueue(HELD)
    stream = aiter(service.stub.StreamChat(chat_request()))
    chunks = [await anext(stream), await anext(stream)]
    connection = await asyncpg.connect(service.dsn)
    await connection.execute("DROP TABLE orchestrator.checkpoints CASCADE")
    await connection.close()
    service.provider.release()
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(stream, chunks)
    return chunks, raised.value


async def test_a_run_that_fails_in_an_unforeseen_way_says_so_once_and_nothing_of_why(
    service: Service,
) -> None:
    chunks, error = await fail_in_an_unforeseen_way(service)
    await assert_all_agree(service.dsn, chunks, error, INTERNAL)
    assert (error.details() or "").startswith("internal error ")
    assert "checkpoints" not in str(chunks[-1])


async def test_the_id_of_an_unforeseen_failure_is_there_for_programs_too(service: Service) -> None:
    _, error = await fail_in_an_unforeseen_way(service)
    assert error.details() == f"internal error {dict(error_info(error).metadata)['error_id']}"


async def test_a_run_cut_off_by_a_stopping_server_says_so_once_and_the_same_everywhere(
    dsn: str, provider: ScriptedProvider
) -> None:
    """Its own channel: the harness closes the service's before it stops the server."""
    provider.enqueue(HELD)
    running = running_service(dsn, provider, server={"drain_seconds": 0.1})
    service = await running.__aenter__()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        stream = aiter(stub.StreamChat(chat_request()))
        chunks = [await anext(stream), await anext(stream)]
        stopping = asyncio.ensure_future(running.__aexit__(None, None, None))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
        await stopping
    await assert_all_agree(dsn, chunks, raised.value, DRAINED)


async def test_a_run_whose_database_is_cut_off_says_so_in_its_status_and_in_no_chunk(
    dsn: str, provider: ScriptedProvider
) -> None:
    """What cannot be written is not shown: whoever reads the log later would miss that chunk."""
    provider.enqueue(HELD)
    brief = {"outage_seconds": 0.3}
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider, database=brief) as service:
        stream = aiter(service.stub.StreamChat(chat_request()))
        chunks = [await anext(stream), await anext(stream)]
        await proxy.cut()
        provider.release()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
    assert raised.value.code() is Code.UNAVAILABLE
    assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
    assert retry_delay(raised.value) == 2.0
    run = await stored(dsn, chunks[0].run_id)
    assert [chunk.sequence for chunk in run.log] == [chunk.sequence for chunk in chunks] == [1, 2]
    assert (run.terminal, run.state, run.ended) == ([], "running", False)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"query": ""}, Code.INVALID_ARGUMENT),
        ({"attachments": [pb.Attachment(document_id="d1")]}, Code.UNIMPLEMENTED),
    ],
)
async def test_what_is_refused_before_it_begins_has_a_status_and_neither_chunk_nor_run(
    service: Service, fields: dict[str, object], code: grpc.StatusCode
) -> None:
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(service.stub.StreamChat(chat_request(**{"query": "hello", **fields})), chunks)  # type: ignore[arg-type]
    assert (raised.value.code(), chunks) == (code, [])
    assert error_info(raised.value).domain == "orchestrator"
    connection = await asyncpg.connect(service.dsn)
    assert await connection.fetchval("SELECT count(*) FROM orchestrator.runs") == 0
    await connection.close()
