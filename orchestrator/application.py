"""The use cases of one process, and the parts that run behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from agents.loader import AgentCatalog
from agents.runner import AgentRunner
from orchestrator.cancellation import Cancellation
from orchestrator.chat import ChatCommand
from orchestrator.chat_service import ChatService
from orchestrator.conversations import ConversationService
from orchestrator.events import ChunkEncoder
from orchestrator.line import Line
from orchestrator.replica import LeaseTimes, Replica
from orchestrator.resume import ResumeService
from orchestrator.retention import Retention, RetentionTimes
from orchestrator.room import Room
from orchestrator.supervisor import RunLimits, RunSupervisor
from orchestrator.turns import Turns
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunCaps
from state.event_log import EventLog
from state.ports import (
    BranchStore,
    ConversationStore,
    EventStore,
    LeaseStore,
    LineStore,
    RetentionStore,
    RunStore,
)


class Stores(Protocol):
    """Where everything is kept."""

    @property
    def runs(self) -> RunStore: ...
    @property
    def events(self) -> EventStore: ...
    @property
    def leases(self) -> LeaseStore: ...
    @property
    def line(self) -> LineStore: ...
    @property
    def branches(self) -> BranchStore: ...
    @property
    def conversations(self) -> ConversationStore: ...
    @property
    def retention(self) -> RetentionStore: ...


@dataclass(frozen=True, slots=True)
class Codec:
    """The wire as this layer needs it: what is written into logs, and what is read in them again."""

    encode: ChunkEncoder
    command: Callable[[bytes], ChatCommand]
    unfinished_text: Callable[[Iterable[bytes]], int | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, sizes in records."""

    runs: RunLimits
    caps: RunCaps
    leases: LeaseTimes
    retention: RetentionTimes
    max_wait_seconds: float
    heartbeat_seconds: float
    tail_records: int
    outage_seconds: float


class Application:
    """Runs its parts inside its context; leaving it drains the runs. `hurried` ends the waiting for them."""

    def __init__(
        self,
        stores: Stores,
        catalog: AgentCatalog,
        runner: AgentRunner,
        models: ModelPool,
        *,
        codec: Codec,
        limits: Limits,
        hurried: asyncio.Event | None = None,
    ) -> None:
        heartbeat, wait = limits.heartbeat_seconds, limits.max_wait_seconds
        self.log = EventLog(
            stores.events, tail_records=limits.tail_records, outage_seconds=limits.outage_seconds
        )
        self.supervisor = RunSupervisor(stores.runs, self.log, codec.encode, limits.runs, hurried=hurried)
        cancellation = Cancellation(stores.runs, self.supervisor, codec.encode)
        self.line = Line(
            stores.line,
            Room(models),
            self.supervisor,
            codec.encode,
            cancellation.cancel,
            look_seconds=limits.leases.reap_seconds,
        )
        turns = Turns(stores.runs, self.log, cancellation.cancel)
        self.chat = ChatService(
            catalog,
            runner,
            self.supervisor,
            self.log,
            models=models,
            caps=limits.caps,
            line=self.line,
            turns=turns,
            branches=stores.branches,
            heartbeat_seconds=heartbeat,
            max_wait_seconds=wait,
            decode=codec.command,
            unfinished_text=codec.unfinished_text,
        )
        self.resume = ResumeService(stores.runs, self.log, heartbeat_seconds=heartbeat)
        self.conversations = ConversationService(
            stores.conversations, stores.runs, turns, runner.history, delete_seconds=wait
        )
        self.line.serves(self.chat.take_up)
        self._replica = Replica(stores.leases, self.supervisor, codec.encode, limits.leases)
        self._retention = Retention(stores.retention, limits.retention)
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in (self._replica, self._retention, self.supervisor, self.line):
                await stack.enter_async_context(part)
            self._parts = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.aclose()

    @property
    def deaths(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """What must not end by itself, by name: each completes, or raises, when it has."""
        return {
            "the replica": self._replica.died,
            "retention": self._retention.died,
            "the line": self.line.died,
        }
