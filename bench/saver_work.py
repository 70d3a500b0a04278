"""What `bench.saver` lets each saver do: single operations, and whole turns of a graph of one node."""

import asyncio
import gc
import operator
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import START, StateGraph

from bench.saver_sides import Side

MESSAGES = [{"role": "user" if i % 2 else "assistant", "content": "word " * 58} for i in range(10)]
"""A conversation of ten messages, 290 characters each."""

Durability = Literal["sync", "async", "exit"]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast something went, and the CPU time this process took for each."""

    per_second: float
    cpu_seconds: float


async def measured(callers: int, times: int, work: Callable[[], Awaitable[int]]) -> Rate:
    """`callers` at once do the work `times` each; it says how many things it did."""

    async def caller() -> int:
        return sum([await work() for _ in range(times)])

    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    done = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return Rate(done / (time.perf_counter() - began), (time.process_time() - cpu) / done)


async def operations(side: Side, callers: int, rounds: int) -> Rate:
    """A round: read the thread's newest checkpoint, write a task's result, write the next checkpoint."""
    threads = iter([await _begun(side) for _ in range(callers)])

    async def caller() -> int:
        thread = next(threads)
        for number in range(rounds):
            found = await side.saver.aget_tuple(thread)  # type: ignore[union-attr]
            assert found is not None
            # Nobody is fast by doing less.
            assert found.metadata["step"] == number - 1
            assert found.checkpoint["channel_values"]["messages"] == MESSAGES
            at = {"configurable": {**thread["configurable"], **found.config["configurable"]}}
            await _write_and_put(side, at, number)  # type: ignore[arg-type]
        return rounds * 3

    return await measured(callers, 1, caller)


async def _begun(side: Side) -> RunnableConfig:
    thread = await side.new_thread()
    await _put(side, thread, -1)
    return thread


async def _write_and_put(side: Side, at: RunnableConfig, number: int) -> None:
    await side.saver.aput_writes(at, [("messages", MESSAGES[:2])], f"task-{number}")  # type: ignore[union-attr]
    await _put(side, at, number)


async def _put(side: Side, at: RunnableConfig, number: int) -> None:
    versions: dict[str, Any] = {"messages": f"{number + 2:032}.5"}
    checkpoint = empty_checkpoint()
    checkpoint["id"] = str(uuid6(clock_seq=-2))
    checkpoint["channel_values"] = {"messages": MESSAGES}
    checkpoint["channel_versions"] = versions
    metadata: CheckpointMetadata = {"source": "loop", "step": number}
    await side.saver.aput(at, checkpoint, metadata, versions)  # type: ignore[union-attr]


class _State(TypedDict):
    messages: Annotated[list[dict[str, str]], operator.add]


async def _answer(state: _State) -> _State:
    return {"messages": [MESSAGES[0]]}


async def turns(side: Side, callers: int, times: int, durability: Durability) -> Rate:
    """Each turn is the first of a conversation: it asks with ten messages and answers with one."""
    graph = StateGraph(_State)
    graph.add_node("answer", _answer)
    graph.add_edge(START, "answer")
    compiled = graph.compile(checkpointer=side.saver)
    # Our runs are committed before: a turn has to begin one, with or without a checkpointer.
    threads = iter([await side.new_thread() for _ in range(callers * times)])

    async def turn() -> int:
        kept = None if side.saver is None else durability
        await compiled.ainvoke({"messages": MESSAGES}, next(threads), durability=kept)
        return 1

    return await measured(callers, times, turn)
