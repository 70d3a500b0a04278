"""The same turns of a conversation on our saver and on the official one, each in tables of its own."""

import operator
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph
from langgraph.runtime import Runtime
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from state.models import ReplicaId
from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.database import Database
from tests.harness.runs import REPLICA
from tests.integration.checkpoints.running import begin, config

STOCK_SCHEMA = "stock"


class Said(TypedDict):
    said: Annotated[list[str], operator.add]


@dataclass(frozen=True, slots=True)
class Thinking:
    """What happens while the model is being asked."""

    thought: Callable[[], Awaitable[object]]


async def at_once() -> None:
    """Think of nothing."""


async def answer(state: Said, runtime: Runtime[Thinking]) -> Said:
    await runtime.context.thought()
    return {"said": []}


class Conversation:
    """One conversation as a saver keeps it. `begin` gives the config of a new run in it."""

    def __init__(
        self, saver: BaseCheckpointSaver[str], begin: Callable[[], Awaitable[RunnableConfig]]
    ) -> None:
        self.begin = begin
        graph = StateGraph(Said, context_schema=Thinking)
        graph.add_node("answer", answer)
        graph.add_edge(START, "answer")
        self._graph = graph.compile(checkpointer=saver)

    async def turn(
        self,
        text: str,
        thought: Callable[[], Awaitable[object]] = at_once,
        at: RunnableConfig | None = None,
    ) -> None:
        """Say something; when this returns the saver has acknowledged the turn."""
        await self._graph.ainvoke(
            {"said": [text]}, at or await self.begin(), context=Thinking(thought), durability="exit"
        )

    async def said(self) -> list[str]:
        """Everything that was said, as the next turn will see it."""
        state = await self._graph.aget_state(await self.begin())
        return list(state.values.get("said", []))


Opened = Callable[[str], Conversation]
"""A conversation by its name."""


@asynccontextmanager
async def our_conversations(database: Database, replica_id: ReplicaId = REPLICA) -> AsyncIterator[Opened]:
    """On our saver."""
    saver = PostgresSaver(database)

    def opened(name: str) -> Conversation:
        async def new_run() -> RunnableConfig:
            return config(await begin(database, conversation=name, replica_id=replica_id))

        return Conversation(saver, new_run)

    yield opened


@asynccontextmanager
async def stock_conversations(dsn: str) -> AsyncIterator[Opened]:
    """On the official saver with a pool, as its documentation says."""
    async with AsyncConnectionPool(
        f"{dsn}?options=-csearch_path%3D{STOCK_SCHEMA}",
        min_size=2,
        max_size=4,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
    ) as pool:
        async with pool.connection() as connection:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {STOCK_SCHEMA}")
        saver = AsyncPostgresSaver(pool, serde=JsonPlusSerializer(allowed_msgpack_modules=None))  # type: ignore[arg-type]
        await saver.setup()

        def opened(name: str) -> Conversation:
            async def new_run() -> RunnableConfig:
                return {"configurable": {"thread_id": name}}

            return Conversation(saver, new_run)

        yield opened
