"""Our savers and the official one on the same tables: each goes on where the other stopped."""

import asyncio
import json
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import TASKS, _DeltaSnapshot
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send

from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.checkpoints.unfenced import UnfencedPostgresSaver
from state.postgres.database import Database
from state.threads import RUN_THREAD_KEY
from tests.harness.runs import ANN
from tests.integration.checkpoints.garden import build
from tests.integration.checkpoints.running import bare, begin, config, rows

OURS, THEIRS = "ours", "theirs"
BOTH_WAYS = pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids="->".join)
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "exit"])


class Savers:
    """Either saver with a config that it understands."""

    def __init__(self, database: Database, official: AsyncPostgresSaver) -> None:
        self._database = database
        self._savers = {OURS: PostgresSaver(database), THEIRS: official}

    async def at(self, which: str) -> tuple[BaseCheckpointSaver[str], RunnableConfig]:
        run = await begin(self._database)
        return self._savers[which], config(run) if which == OURS else bare(run)


@pytest.fixture
def savers(database: Database, official: AsyncPostgresSaver) -> Savers:
    return Savers(database, official)


async def listed(saver: BaseCheckpointSaver[str], at: RunnableConfig) -> list[CheckpointTuple]:
    """Every checkpoint of a thread, in all namespaces, without what only our configs carry."""
    everywhere = {key: value for key, value in at["configurable"].items() if key != "checkpoint_ns"}
    return [_plain(one) async for one in saver.alist({"configurable": everywhere})]


def _plain(one: CheckpointTuple) -> CheckpointTuple:
    for place in (one.config, one.parent_config):
        if place is not None:
            place["configurable"].pop(RUN_THREAD_KEY, None)
    return one


@BOTH_WAYS
@DURABILITIES
async def test_each_goes_on_from_the_others_interrupt(
    savers: Savers, order: tuple[str, str], durability: Any
) -> None:
    final: dict[str, Any] = {}
    for word, (first, second) in (("rose", order), ("oak", order[::-1])):
        saver, at = await savers.at(first)
        paused = await build(saver).ainvoke({"word": word}, at, durability=durability)
        assert [one.value for one in paused["__interrupt__"]] == [{"question": f"water {word}?"}]
        saver, at = await savers.at(second)
        answer: Command[Any] = Command(resume={paused["__interrupt__"][0].id: "yes"})
        final = await build(saver).ainvoke(answer, at, durability=durability)
    seeds = ["seed 0", "seed 1", "seed 2"]
    assert final["said"] == ["begin rose", "answer yes", "begin oak", "answer yes"]
    assert final["log"] == ["begin rose", *seeds, "answer yes", "begin oak", *seeds, "answer yes"]
    assert final["visits"] == [
        "look at rose",
        "look at rose",
        "look at oak",
        "look at rose, look at oak",
    ]


@BOTH_WAYS
@DURABILITIES
async def test_both_read_the_same_from_the_rows_of_either(
    savers: Savers, order: tuple[str, str], durability: Any
) -> None:
    for word in ("rose", "oak"):
        writer, at = await savers.at(order[0])
        await build(writer).ainvoke({"word": word}, at, durability=durability)
    (saver, theirs), (ours, mine) = await savers.at(THEIRS), await savers.at(OURS)
    by_id = {one.config["configurable"]["checkpoint_id"]: one for one in await listed(saver, theirs)}
    read = await listed(ours, mine)
    assert {one.config["configurable"]["checkpoint_id"] for one in read} == set(by_id)
    assert len({one.config["configurable"]["checkpoint_ns"] for one in read}) > 1
    for one in read:
        assert one == by_id[one.config["configurable"]["checkpoint_id"]]


@BOTH_WAYS
@DURABILITIES
async def test_both_rebuild_the_same_delta_channels_at_every_checkpoint(
    savers: Savers, order: tuple[str, str], durability: Any
) -> None:
    for word in ("rose", "oak", "elm"):
        writer, at = await savers.at(order[0])
        paused = await build(writer).ainvoke({"word": word}, at, durability=durability)
        await build(writer).ainvoke(Command(resume={paused["__interrupt__"][0].id: "yes"}), at)
    (saver, theirs), (ours, mine) = await savers.at(THEIRS), await savers.at(OURS)
    channels, seeded = ["log", "said", "absent"], 0
    for one in await listed(saver, theirs):
        where = {key: one.config["configurable"][key] for key in ("checkpoint_ns", "checkpoint_id")}
        expected = await saver.aget_delta_channel_history(
            config={"configurable": {**theirs["configurable"], **where}}, channels=channels
        )
        found = await ours.aget_delta_channel_history(
            config={"configurable": {**mine["configurable"], **where}}, channels=channels
        )
        assert found == expected
        seeded += isinstance(found["log"].get("seed"), _DeltaSnapshot)
    assert seeded, "no snapshot was met: the test shows less than it says"


async def test_a_snapshot_is_marked_as_the_official_saver_marks_it(
    savers: Savers, database: Database
) -> None:
    marks = []
    for which in (OURS, THEIRS):
        for word in ("rose", "oak"):
            saver, at = await savers.at(which)
            paused = await build(saver).ainvoke({"word": word}, at, durability="sync")
            await build(saver).ainvoke(Command(resume={paused["__interrupt__"][0].id: "yes"}), at)
        values = [
            json.loads(row["checkpoint"])["channel_values"] for row in await rows(database, "checkpoints")
        ]
        marks.append([value["log"] for value in values if "log" in value])
        await UnfencedPostgresSaver(database, ANN).adelete_thread(at["configurable"]["thread_id"])
    assert marks[0] == marks[1]
    assert True in marks[0]


class Parallel(TypedDict):
    said: Annotated[list[str], operator.add]


class BrokenStepError(Exception):
    """A step that fails on purpose."""


def parallel(
    saver: BaseCheckpointSaver[str], calls: list[str], *, failing: bool
) -> CompiledStateGraph[Parallel, None, Parallel, Parallel]:
    finished = asyncio.Event()

    async def good(state: Parallel) -> Parallel:
        calls.append("good")
        finished.set()
        return {"said": ["good"]}

    async def bad(state: Parallel) -> Parallel:
        calls.append("bad")
        if failing:
            await finished.wait()
            raise BrokenStepError
        return {"said": ["mended"]}

    graph = StateGraph(Parallel)
    graph.add_node("good", good)
    graph.add_node("bad", bad)
    graph.add_edge(START, "good")
    graph.add_edge(START, "bad")
    return graph.compile(checkpointer=saver)


@BOTH_WAYS
async def test_what_a_finished_task_wrote_is_not_done_again_by_the_other(
    savers: Savers, order: tuple[str, str]
) -> None:
    calls: list[str] = []
    saver, at = await savers.at(order[0])
    with pytest.raises(BrokenStepError):
        await parallel(saver, calls, failing=True).ainvoke({"said": []}, at, durability="sync")
    assert sorted(calls) == ["bad", "good"]
    calls.clear()
    saver, at = await savers.at(order[1])
    final = await parallel(saver, calls, failing=False).ainvoke(None, at, durability="sync")
    assert calls == ["bad"]
    assert sorted(final["said"]) == ["good", "mended"]


async def test_pending_sends_of_an_old_checkpoint_are_found_at_its_parent(savers: Savers) -> None:
    official, at = await savers.at(THEIRS)
    parent = await official.aput(at, {**empty_checkpoint(), "v": 3}, {}, {})
    sends = [Send("node", {"a": number}) for number in (1, 2)]
    await official.aput_writes(parent, [(TASKS, send) for send in sends], "t")
    child = {**empty_checkpoint(), "v": 3, "channel_versions": {"said": "2", "count": "3"}}
    await official.aput(parent, child, {}, {})  # type: ignore[arg-type]
    ours, mine = await savers.at(OURS)
    found, expected = await ours.aget_tuple(mine), await official.aget_tuple(at)
    assert found is not None
    assert found.checkpoint["channel_values"] == {TASKS: sends}
    assert _plain(found) == expected


@pytest.fixture
async def imported(database: Database, official: AsyncPostgresSaver) -> UnfencedPostgresSaver:
    """A saver for a thread that the official one has written."""
    run = await begin(database)
    await build(official).ainvoke({"word": "rose"}, bare(run), durability="sync")
    return UnfencedPostgresSaver(database, ANN)


async def test_upkeep_reaches_rows_of_the_official_saver(
    database: Database, imported: UnfencedPostgresSaver
) -> None:
    run = await begin(database)
    before = await imported.aget_tuple(bare(run))
    await imported.aprune([run.thread_id])
    assert await imported.aget_tuple(bare(run)) is not None
    assert before is not None
    await imported.acopy_thread(run.thread_id, "copy")
    await imported.adelete_thread(run.thread_id)
    assert await imported.aget_tuple(bare(run)) is None
    assert {row["thread_id"] for row in await rows(database, "checkpoints")} == {"copy"}
