"""The use cases of one process, and the parts that run behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from agents.loader import AgentCatalog
from agents.runner import AgentRunner
from orchestrator import draining, outage
from orchestrator.assignment import Assignment
from orchestrator.budgets import Budgets, DailyBudget, DayStore
from orchestrator.cancellation import Cancellation
from orchestrator.chat_service import ChatService, ChatTimes
from orchestrator.continuation import Continuation
from orchestrator.conversations import ConversationService
from orchestrator.draining import Drain, DrainStore, DrainTimes
from orchestrator.edited import EditedArguments
from orchestrator.events import ChunkEncoder, LeftOff
from orchestrator.line import Line
from orchestrator.line_limits import LineLimits
from orchestrator.outage import OutageJournal
from orchestrator.permissions import PermissionService
from orchestrator.quarantine import Quarantine, QuarantineTimes
from orchestrator.reading import RunReader
from orchestrator.repeated import Repeated
from orchestrator.replica import LeaseTimes, Replica
from orchestrator.resume import ResumeService
from orchestrator.retention import Retention, RetentionStore, RetentionTimes
from orchestrator.room import Room
from orchestrator.supervisor import RunLimits, RunSupervisor
from orchestrator.task import TaskTimes
from orchestrator.task_service import TaskService
from orchestrator.turn_work import ToolSupplier, Workbench
from orchestrator.turns import Turns
from orchestrator.usage import UsageService, UsageStore
from orchestrator.workshop import Workshop
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunCaps
from state.event_log import EventLog
from state.models import RunKind
from state.permission_ports import EffectStore, PermissionStore, Suspension
from state.ports import (
    BranchStore,
    ConversationStore,
    EventStore,
    LeaseStore,
    LineStore,
    RequestKeyStore,
    RunStore,
    TaskStore,
)
from tools.policy import Verdict


class UsedStore(UsageStore, DayStore, Protocol):
    """What users have used, in any span and today."""


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
    def tasks(self) -> TaskStore: ...
    @property
    def drain(self) -> DrainStore: ...
    @property
    def keys(self) -> RequestKeyStore: ...
    @property
    def permissions(self) -> PermissionStore: ...
    @property
    def branches(self) -> BranchStore: ...
    @property
    def conversations(self) -> ConversationStore: ...
    @property
    def retention(self) -> RetentionStore: ...
    @property
    def usage(self) -> UsedStore: ...
    @property
    def suspension(self) -> Suspension: ...
    @property
    def effects(self) -> EffectStore: ...


class TaskSpool(outage.Spool, draining.Spool, Protocol):
    """The outage journal."""


@dataclass(frozen=True, slots=True)
class Codec:
    """The wire as this layer needs it: what is written into logs, and what is read in them again."""

    encode: ChunkEncoder
    assignment: Callable[[RunKind, bytes], Assignment]
    left_off: Callable[[Iterable[bytes]], LeftOff]


@dataclass(frozen=True, slots=True)
class Limits:
    """`tail_records` of a run are kept in memory; its log and its readers outlast `outage_seconds`."""

    runs: RunLimits
    caps: RunCaps
    budget: DailyBudget
    leases: LeaseTimes
    retention: RetentionTimes
    chat: ChatTimes
    tasks: TaskTimes
    line: LineLimits
    drain: DrainTimes
    tool_policy: Mapping[str, Verdict]
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
        tools: ToolSupplier,
        *,
        codec: Codec,
        limits: Limits,
        spool: TaskSpool | None = None,
        hurried: asyncio.Event | None = None,
    ) -> None:
        self._models, self._stores, self._limits, self._codec = models, stores, limits, codec
        self.log = EventLog(
            stores.events, tail_records=limits.tail_records, outage_seconds=limits.outage_seconds
        )
        self.supervisor = RunSupervisor(
            stores.runs, self.log, codec.encode, limits.runs, suspension=stores.suspension, hurried=hurried
        )
        self._cancellation = Cancellation(stores.runs, self.supervisor, codec.encode)
        self._turns = Turns(stores.runs, self.log, self._cancellation.cancel)
        bench = Workbench(
            runner,
            models,
            stores.branches,
            stores.runs,
            tools,
            consent=stores.permissions,
            journal=stores.effects,
            operator=limits.tool_policy,
        )
        self._workshop = Workshop(catalog, bench, limits.caps)
        self.line = self._line()
        self.budgets = Budgets(stores.usage, limits.budget, lambda: models.currency)
        self.usage = UsageService(stores.usage, self.budgets, lambda: models.currency)
        self.permissions = PermissionService(stores.permissions, codec.encode, EditedArguments(tools))
        reader, times = RunReader(self.log, self.line), limits.chat
        self.chat = self._chat(reader)
        journal = OutageJournal(spool, codec.encode, limits.line) if spool else None
        self.tasks = self._tasks(journal)
        self._drain = self._draining(spool, journal) if spool and journal else None
        self.resume = ResumeService(stores.runs, self.log, reader, heartbeat_seconds=times.heartbeat_seconds)
        self.conversations = ConversationService(
            stores.conversations,
            stores.runs,
            self._turns,
            runner.history,
            delete_seconds=times.max_wait_seconds,
        )
        self._replica = Replica(stores.leases, self.supervisor, codec.encode, limits.leases, self._counted)
        self._settling = Repeated(
            "settling of permissions", limits.leases.reap_seconds, self.permissions.settle
        )
        self._retention = Retention(stores.retention, limits.retention)
        self._parts = AsyncExitStack()

    def _chat(self, reader: RunReader) -> ChatService:
        return ChatService(
            self._workshop,
            self.supervisor,
            reader,
            keys=self._stores.keys,
            runs=self._stores.runs,
            line=self.line,
            turns=self._turns,
            budgets=self.budgets,
            times=self._limits.chat,
        )

    def _tasks(self, journal: OutageJournal | None) -> TaskService:
        return TaskService(
            self._workshop,
            self.supervisor,
            self.log,
            runs=self._stores.runs,
            tasks=self._stores.tasks,
            keys=self._stores.keys,
            line=self.line,
            cancellation=self._cancellation,
            budgets=self.budgets,
            permissions=self.permissions,
            decode=self._codec.assignment,
            times=self._limits.tasks,
            journal=journal,
        )

    def _draining(self, spool: TaskSpool, journal: OutageJournal) -> Drain:
        return Drain(
            journal,
            spool,
            self._stores.drain,
            self.line,
            self._codec.encode,
            limits=self._limits.line,
            times=self._limits.drain,
        )

    def _line(self) -> Line:
        again = Continuation(
            self._workshop,
            self.supervisor,
            self.log,
            decode=self._codec.assignment,
            left_off=self._codec.left_off,
        )
        line, room, worker, leases = (
            self._stores.line,
            Room(self._models),
            self.supervisor,
            self._limits.leases,
        )
        times = QuarantineTimes(self._limits.line.quarantine_seconds, leases.lease_seconds)
        return Line(
            line,
            room,
            worker,
            self._codec.encode,
            cancel=self._cancellation.abandon,
            take_up=again.take_up,
            quarantine=Quarantine(line, room, worker, again.take_up, times),
            limits=self._limits.line,
            look_seconds=leases.reap_seconds,
        )

    def _counted(self, replicas: int) -> None:
        """So many processes share the providers, and the line, now."""
        self._models.set_share(replicas)
        self.line.places.replicas = replicas

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in (
                self._replica,
                self._settling,
                self._retention,
                self.supervisor,
                self.line,
                self._drain,
            ):
                if part is not None:
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
        deaths: dict[str, Callable[[], Awaitable[object]]] = {
            **self._replica.deaths,
            "the settling of permissions": self._settling.died,
            "retention": self._retention.died,
            "the line": self.line.died,
        }
        return deaths if self._drain is None else {**deaths, "the drain": self._drain.died}
