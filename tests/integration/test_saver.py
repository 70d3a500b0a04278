"""The checkpointer on asyncpg, driven by a real graph and by hand."""

import asyncio
import dataclasses
import operator
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import asyncpg
import ormsgpack
import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from state.errors import LostAttemptError, StateUnreadableError
from state.models import Attempt, ConversationId, Owner
from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.database import Database
from state.threads import thread_id
from tests.integration.checkpoints.running import BOB, begin, config


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]
    count: int


class BrokenStepError(Exception):
    """A step that fails on purpose."""


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, schema="orchestrator", pool_size=4) as database:
        yield database


def graph(saver: PostgresSaver, *, failing: bool = False) -> CompiledStateGraph[State, None, State, State]:
    def first(state: State) -> State:
        return {"said": [f"first {len(state['said'])}"], "count": 1}

    def second(state: State) -> State:
        if failing:
            raise BrokenStepError
        return {"said": ["second"], "count": state["count"] + 1}

    builder = StateGraph(State)
    builder.add_node("first", first)
    builder.add_node("second", second)
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    builder.add_edge("second", END)
    return builder.compile(checkpointer=saver)


async def test_a_thread_goes_on_where_its_last_run_ended(database: Database) -> None:
    saver = PostgresSaver(database)
    for turn in ("one", "two"):
        run = await begin(database)
        final = await graph(saver).ainvoke({"said": [turn]}, config(run), durability="sync")
    assert final["said"] == ["one", "first 1", "second", "two", "first 4", "second"]


async def test_a_run_that_reads_before_it_has_its_conversation_reads_again_when_that_went_on(
    database: Database,
) -> None:
    """The reading overlaps with the commit that takes the conversation from the run before."""
    saver = PostgresSaver(database)
    await graph(saver).ainvoke({"said": ["one"]}, config(await begin(database)), durability="sync")
    begins: asyncio.Future[Attempt] = asyncio.get_running_loop().create_future()
    run = await begin(database)
    early = dataclasses.replace(run, attempt=lambda: asyncio.shield(begins))
    reading = asyncio.create_task(saver.aget_tuple(config(early)))
    before = await begin(database)
    await graph(saver).ainvoke({"said": ["two"]}, config(before), durability="sync")
    async with database.connection() as connection:
        head = await connection.fetchval("SELECT thread_head($1)", run.thread_id)
    begins.set_result(dataclasses.replace(await run.attempt(), thread_head=head))
    read = await reading
    assert read is not None
    assert read.checkpoint["id"] == before.last_checkpoint_id


async def test_a_failed_step_is_taken_again_from_its_checkpoint(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    with pytest.raises(BrokenStepError):
        await graph(saver, failing=True).ainvoke({"said": ["one"]}, config(run), durability="sync")
    stored = await saver.aget_tuple(config(run))
    assert stored is not None
    assert [channel for _, channel, _ in stored.pending_writes or ()] == ["__error__"]
    final = await graph(saver).ainvoke(None, config(run), durability="sync")
    assert final["said"] == ["one", "first 1", "second"]


async def test_the_last_checkpoint_written_is_known(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    await graph(saver).ainvoke({"said": ["one"]}, config(run), durability="exit")
    newest = await saver.aget_tuple(config(run))
    assert newest is not None
    assert run.last_checkpoint_id == newest.checkpoint["id"]


async def test_a_named_checkpoint_is_found_and_leads_to_its_parent(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    await graph(saver).ainvoke({"said": ["one"]}, config(run), durability="sync")
    newest = await saver.aget_tuple(config(run))
    assert newest is not None
    assert newest.parent_config is not None
    parent = await saver.aget_tuple(
        config(run, checkpoint_id=newest.parent_config["configurable"]["checkpoint_id"])
    )
    assert parent is not None
    assert parent.checkpoint["channel_values"]["said"] == ["one", "first 1"]


async def test_the_newest_is_the_one_written_last_whatever_its_clock_said(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    at = config(run)
    for name, value in (("1fff-from-the-future", 1), ("1000-from-the-past", 2)):
        checkpoint = {**empty_checkpoint(), "id": name, "channel_values": {"count": value}}
        at = await saver.aput(at, checkpoint, {}, {})  # type: ignore[arg-type]
    newest = await saver.aget_tuple(config(run))
    assert newest is not None
    assert newest.checkpoint["channel_values"] == {"count": 2}


async def test_somebody_elses_checkpoint_cannot_be_read_even_by_its_id(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    await graph(saver).ainvoke({"said": ["secret"]}, config(run), durability="sync")
    thief = await begin(database, BOB)
    thief.thread_id = run.thread_id
    assert await saver.aget_tuple(config(thief)) is None
    assert await saver.aget_tuple(config(thief, checkpoint_id=run.last_checkpoint_id)) is None


async def test_a_run_that_lost_its_attempt_can_write_nothing(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    await graph(saver).ainvoke({"said": ["one"]}, config(run), durability="sync")
    written = run.last_checkpoint_id
    async with database.connection() as connection:
        await connection.execute("UPDATE runs SET attempt = attempt + 1")
    with pytest.raises(LostAttemptError):
        await saver.aput(config(run, checkpoint_id=written), empty_checkpoint(), {}, {})
    with pytest.raises(LostAttemptError):
        await saver.aput_writes(config(run, checkpoint_id=written), [("said", ["late"])], "task")
    newest = await saver.aget_tuple(config(run))
    assert newest is not None
    assert newest.checkpoint["id"] == written
    assert newest.pending_writes == []


async def test_writes_of_a_task_are_kept_once_and_in_order(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    checkpoint = empty_checkpoint()
    at = await saver.aput(config(run), checkpoint, {}, {})
    for value in ("kept", "ignored"):
        await saver.aput_writes(at, [("said", [value]), ("count", 1)], "task-b", "path")
    await saver.aput_writes(at, [("said", ["other"])], "task-a", "path")
    stored = await saver.aget_tuple(config(run))
    assert stored is not None
    assert stored.pending_writes == [
        ("task-a", "said", ["other"]),
        ("task-b", "said", ["kept"]),
        ("task-b", "count", 1),
    ]


async def test_values_of_every_plain_kind_come_back(database: Database) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    values: dict[str, Any] = {
        "text": "grün \U0001f600",
        "number": 1.5,
        "flag": True,
        "nothing": None,
        "list": [1, {"a": ["b"]}],
        "bytes": b"\x00\xff",
    }
    checkpoint = {
        **empty_checkpoint(),
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, "1"),
    }
    await saver.aput(config(run), checkpoint, {}, dict.fromkeys(values, "1"))  # type: ignore[arg-type]
    stored = await saver.aget_tuple(config(run))
    assert stored is not None
    assert stored.checkpoint["channel_values"] == values


async def test_bytes_that_would_run_code_on_loading_build_nothing(database: Database, tmp_path: Path) -> None:
    """A msgpack extension names a module, a function and its arguments: the permissive default calls it."""
    marker = tmp_path / "owned"
    call = ormsgpack.packb(("os", "system", (f"touch {marker}",)))
    crafted = ormsgpack.packb(ormsgpack.Ext(1, call))
    saver, run = PostgresSaver(database), await begin(database)
    checkpoint = {**empty_checkpoint(), "channel_versions": {"said": "1"}, "channel_values": {"said": ["x"]}}
    await saver.aput(config(run), checkpoint, {}, {"said": "1"})  # type: ignore[arg-type]
    async with database.connection() as connection:
        await connection.execute("UPDATE checkpoint_blobs SET type = 'msgpack', blob = $1", crafted)
    with pytest.raises(StateUnreadableError):
        await saver.aget_tuple(config(run))
    assert not marker.exists()
    JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(("msgpack", crafted))
    assert marker.exists(), "the bytes do nothing in any saver: the test shows nothing"


async def test_the_official_saver_reads_our_rows_and_we_read_its(database: Database, dsn: str) -> None:
    saver, run = PostgresSaver(database), await begin(database)
    await graph(saver).ainvoke({"said": ["ours"]}, config(run), durability="sync")
    official_config: RunnableConfig = {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}}
    url = f"{dsn}?options=-csearch_path%3Dorchestrator"
    async with AsyncPostgresSaver.from_conn_string(url) as official:
        await official.setup()
        official.serde = JsonPlusSerializer()
        final = await graph(official).ainvoke({"said": ["theirs"]}, official_config, durability="sync")  # type: ignore[arg-type]
    assert final["said"] == ["ours", "first 1", "second", "theirs", "first 4", "second"]
    stored = await saver.aget_tuple(config(run))
    assert stored is not None
    assert stored.checkpoint["channel_values"]["said"] == final["said"]


async def test_a_conversation_whose_names_run_together_is_another_thread() -> None:
    pairs = [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")]
    threads = {thread_id(Owner(owner), ConversationId(conversation)) for owner, conversation in pairs}
    assert len(threads) == len(pairs)
    assert {len(thread) for thread in threads} == {43}


async def test_names_that_hold_sql_are_only_names(database: Database) -> None:
    saver = PostgresSaver(database)
    run = await begin(database, Owner("'; DROP TABLE runs; --"), "\"' OR 1=1 --%s")
    await graph(saver).ainvoke({"said": ["one"]}, config(run), durability="sync")
    assert await saver.aget_tuple(config(run)) is not None
    connection = await asyncpg.connect(database.dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM orchestrator.runs") == 1
    finally:
        await connection.close()
