"""What retention deletes, and what it never touches."""

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

from protos import orchestrator_pb2 as pb
from state.models import (
    Attempt,
)
from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.database import Database
from state.postgres.runs import PostgresRunStore
from state.threads import RUN_THREAD_KEY, RunThread, thread_id
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.retention import (
    age,
    connected,
    counts,
    delete_old,
    retention_store,
    settled_service,
    value,
)
from tests.harness.runs import ANN, REPLICA, SUCCEEDED, last, new_run
from tests.harness.service import Service, chat_request

CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    async with settled_service(dsn, provider) as service:
        yield service


def said(service: Service) -> list[str]:
    """What the last prompt held, without the agent's own instructions."""
    return [m["content"] for m in service.provider.ledger[-1].body["messages"][1:]]


async def test_a_conversation_goes_on_after_pruning_with_all_of_its_history(service: Service) -> None:
    service.provider.default = Script(tokens=("fine",))
    for question in ("one", "two", "three"):
        await service.chat(question, conversation_id="c1")
    before = await counts(service.dsn)
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, idle=9)
    after = await counts(service.dsn)
    assert (before["checkpoints"], after["checkpoints"]) == (3, 1)
    assert after["checkpoint_blobs"] < before["checkpoint_blobs"]
    assert (after["run_events"], after["runs"]) == (before["run_events"], before["runs"])
    await service.chat("four", conversation_id="c1")
    assert said(service) == ["one", "fine", "two", "fine", "three", "fine", "four"]


async def test_a_conversation_is_idle_when_its_last_run_ended_long_ago(service: Service) -> None:
    for conversation in ("idle", "live"):
        for _ in range(2):
            await service.chat(conversation_id=conversation)
    await age(service.dsn, hours=10)
    await service.chat(conversation_id="live")
    await delete_old(service.dsn, idle=9)
    assert (await counts(service.dsn))["checkpoints"] == 1 + 3
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, idle=9)
    assert (await counts(service.dsn))["checkpoints"] == 1 + 1


async def test_an_active_run_keeps_its_whole_conversation_however_long_it_takes(service: Service) -> None:
    for _ in range(2):
        await service.chat(conversation_id="c1")
    service.provider.enqueue(Script(tokens=("slow", " one"), hold_after=1))
    stream = aiter(service.stub.StreamChat(chat_request(conversation_id="c1")))
    chunks = [await anext(stream), await anext(stream)]
    await age(service.dsn, hours=10)
    before = await counts(service.dsn)
    await delete_old(service.dsn, idle=9, events=9, runs=9)
    after = await counts(service.dsn)
    assert (after["checkpoints"], after["checkpoint_blobs"]) == (2, before["checkpoint_blobs"])
    assert after["runs"] == 1
    service.provider.release()
    chunks += [chunk async for chunk in stream]
    assert [chunk.sequence for chunk in chunks] == list(range(1, len(chunks) + 1))
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, idle=9)
    assert (await counts(service.dsn))["checkpoints"] == 1


async def test_of_an_old_log_only_the_terminal_record_stays(service: Service) -> None:
    service.provider.default = Script(tokens=("one", " two"), token_interval=0.05)
    old, young = await service.chat(conversation_id="old"), await service.chat(conversation_id="young")
    await age(service.dsn, 10, "conversation_id = 'old'")
    await delete_old(service.dsn, events=9)
    async with connected(service.dsn) as connection:
        rows = await connection.fetch(
            "SELECT conversation_id, sequence FROM run_events JOIN runs USING (run_id)"
            " ORDER BY conversation_id, sequence"
        )
    kept = [(row["conversation_id"], row["sequence"]) for row in rows]
    assert kept == [("old", old[-1].sequence), *(("young", chunk.sequence) for chunk in young)]


async def test_a_run_past_its_time_goes_with_its_log_and_its_conversation_stays(service: Service) -> None:
    await service.chat("remember me", conversation_id="c1")
    young = await service.chat(conversation_id="young")
    await age(service.dsn, 10, "conversation_id = 'c1'")
    await delete_old(service.dsn, idle=9, events=9, runs=9)
    after = await counts(service.dsn)
    assert (after["runs"], after["run_events"]) == (1, len(young))
    await service.chat("and now", conversation_id="c1")
    assert said(service)[0] == "remember me"


async def test_a_batch_smaller_than_a_conversation_or_a_log_still_gets_through_all_of_it(
    service: Service,
) -> None:
    for _ in range(5):
        await service.chat(conversation_id="c1")
    before, whole = await counts(service.dsn), await blobs_of_checkpoints(service.dsn)
    await age(service.dsn, hours=10)
    async with retention_store(service.dsn, batch_runs=2, batch_rows=1) as store:
        checkpoints = events = 0
        while (batch := await store.prune_checkpoints(60)) and batch.more:
            checkpoints += batch.tables["checkpoints"].rows
            assert max(extent.rows for extent in batch.tables.values()) <= 1
            left = await blobs_of_checkpoints(service.dsn)
            assert left.items() <= whole.items()
            assert len(left) == 1 or not batch.tables["checkpoint_blobs"].rows
        while (batch := await store.prune_events(60)) and batch.more:
            events += batch.tables["run_events"].rows
            assert batch.tables["run_events"].rows <= 1
        while (batch := await store.delete_runs(60)) and batch.more:
            pass
    after = await counts(service.dsn)
    assert (checkpoints, events) == (4, before["run_events"] - 5)
    assert (after["checkpoints"], after["run_events"], after["runs"]) == (1, 0, 0)
    await service.chat("all there?", conversation_id="c1")
    assert len(said(service)) == 11


async def test_a_pass_goes_on_until_nothing_old_is_left(service: Service) -> None:
    for _ in range(3):
        await service.chat(conversation_id="c1")
    await age(service.dsn, hours=10)
    await delete_old(service.dsn, idle=9, events=9, runs=9, batch_runs=1, batch_rows=1)
    after = await counts(service.dsn)
    assert (after["checkpoints"], after["run_events"], after["runs"]) == (1, 0, 0)


async def blobs_of_checkpoints(dsn: str) -> dict[str, int]:
    """How many blobs each checkpoint finds."""
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "SELECT checkpoint_id, count(*) FROM checkpoints c JOIN checkpoint_blobs b USING (thread_id)"
            " WHERE b.version = c.checkpoint -> 'channel_versions' ->> b.channel GROUP BY checkpoint_id"
        )
    return {row["checkpoint_id"]: row["count"] for row in rows}


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    inner: Annotated[list[str], operator.add]


async def finished_run(database: Database, conversation: str) -> RunThread:
    """Two steps and a subgraph of two, each with its checkpoint, by a run that has ended."""
    runs = PostgresRunStore(database, REPLICA)
    run = new_run(ANN, conversation)
    attempt = await runs.begin(run, [])

    async def right_to_write() -> Attempt:
        return attempt

    thread = RunThread(ANN, run.run_id, thread_id(ANN, run.conversation_id), right_to_write)
    inner = StateGraph(State)
    inner.add_sequence([("a", lambda _: {"inner": ["a"]}), ("b", lambda _: {"inner": ["b"]})])
    inner.add_edge(START, "a")
    outer = StateGraph(State)
    outer.add_node("first", lambda _: {"said": ["first"]})
    outer.add_node("inside", inner.compile(checkpointer=True))
    outer.add_edge(START, "first")
    outer.add_edge("first", "inside")
    outer.add_edge("inside", END)
    graph = outer.compile(checkpointer=PostgresSaver(database))
    config: RunnableConfig = {
        "configurable": {"thread_id": thread.thread_id, "run_id": run.run_id, RUN_THREAD_KEY: thread}
    }
    await graph.ainvoke({"said": ["begin"]}, config, durability="sync")
    await runs.finish(attempt, SUCCEEDED, last(1))
    return thread


async def newest(dsn: str) -> list[tuple[Any, ...]]:
    """Each namespace's newest checkpoint with its blobs and pending writes."""
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            """
            SELECT DISTINCT ON (c.thread_id, c.checkpoint_ns) c.checkpoint_ns, c.checkpoint_id, c.checkpoint,
                (SELECT array_agg((b.channel, b.blob) ORDER BY b.channel) FROM checkpoint_blobs b
                 WHERE b.thread_id = c.thread_id AND b.checkpoint_ns = c.checkpoint_ns
                    AND b.version = c.checkpoint -> 'channel_versions' ->> b.channel) AS blobs,
                (SELECT array_agg((w.task_id, w.idx, w.blob) ORDER BY w.task_id, w.idx)
                 FROM checkpoint_writes w WHERE w.thread_id = c.thread_id
                    AND w.checkpoint_ns = c.checkpoint_ns AND w.checkpoint_id = c.checkpoint_id) AS writes
            FROM checkpoints c ORDER BY c.thread_id, c.checkpoint_ns, c.position DESC
            """
        )
    return [tuple(row) for row in rows]


async def test_each_namespace_keeps_its_newest_checkpoint_with_blobs_and_pending_writes(dsn: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=2) as database:
        await finished_run(database, "c1")
    async with connected(dsn) as connection:
        await connection.execute(
            """
            INSERT INTO checkpoint_writes
                (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, blob)
            SELECT DISTINCT ON (thread_id, checkpoint_ns)
                thread_id, checkpoint_ns, checkpoint_id, 'pending', 0, 'said', 'asked'
            FROM checkpoints ORDER BY thread_id, checkpoint_ns, position DESC
            """
        )
    before = await newest(dsn)
    assert len(before) == 2
    await age(dsn, hours=10)
    await delete_old(dsn, idle=9)
    assert await newest(dsn) == before
    after = await counts(dsn)
    assert after["checkpoints"] == after["checkpoint_writes"] == 2
    used = sum(len(row[3]) for row in before)
    assert after["checkpoint_blobs"] == used
    assert await value(dsn, "SELECT count(*) FROM checkpoints WHERE parent_checkpoint_id IS NOT NULL") == 0


@pytest.mark.parametrize(
    "change",
    [
        """metadata = metadata || '{"counters_since_delta_snapshot": {"said": [1, 1]}}'""",
        """checkpoint = checkpoint || '{"v": 3}'""",
        "checkpoint = checkpoint - 'v'",
    ],
    ids=["delta channels", "an old version", "no version"],
)
async def test_what_the_newest_checkpoint_is_rebuilt_from_stays(dsn: str, change: str) -> None:
    async with Database(dsn, schema="orchestrator", pool_size=2) as database:
        await finished_run(database, "c1")
    async with connected(dsn) as connection:
        await connection.execute(
            f"UPDATE checkpoints c SET {change} WHERE position ="  # noqa: S608
            " (SELECT max(position) FROM checkpoints WHERE checkpoint_ns = '')"
        )
    whole = "SELECT array_agg(c ORDER BY position) FROM checkpoints c WHERE checkpoint_ns = ''"
    before = await value(dsn, whole)
    await age(dsn, hours=10)
    await delete_old(dsn, idle=9)
    assert await value(dsn, whole) == before
    assert await value(dsn, "SELECT count(*) FROM checkpoints WHERE checkpoint_ns <> ''") == 1


async def test_threads_of_nobodys_runs_are_left_alone(dsn: str) -> None:
    """The official saver's threads have no runs, so nobody here knows how old they are."""
    async with Database(dsn, schema="orchestrator", pool_size=2) as database:
        await finished_run(database, "c1")
    async with connected(dsn) as connection:
        await connection.execute("UPDATE checkpoints SET thread_id = 'somebody else''s', owner = NULL")
    before = await counts(dsn)
    await age(dsn, hours=10)
    await delete_old(dsn, idle=9)
    assert (await counts(dsn))["checkpoints"] == before["checkpoints"]
