"""The use cases of one process, and the parts that run behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from agents.runner import AgentRunner
from orchestrator.budgets import Budgets
from orchestrator.cancellation import Cancellation
from orchestrator.chat_service import ChatService
from orchestrator.choosing import Agents
from orchestrator.continuation import Continuation
from orchestrator.conversations import ConversationService
from orchestrator.draining import Drain
from orchestrator.edited import EditedArguments
from orchestrator.handing_on import RemoteSupplier
from orchestrator.line import Line
from orchestrator.outage import OutageJournal
from orchestrator.parts import Codec, Limits, Stores, TaskSpool
from orchestrator.permissions import PermissionService
from orchestrator.provider_edges import ProviderEdges
from orchestrator.quarantine import Quarantine, QuarantineTimes
from orchestrator.reading import RunReader
from orchestrator.repeated import Repeated
from orchestrator.replica import Replica
from orchestrator.resume import ResumeService
from orchestrator.retention import Retention
from orchestrator.room import Gates, Room
from orchestrator.supervisor import RunSupervisor
from orchestrator.task_service import TaskService
from orchestrator.turn_work import ToolSupplier, Workbench
from orchestrator.turns import Turns
from orchestrator.usage import UsageService
from orchestrator.watching import Watching
from orchestrator.workshop import Workshop
from providers.pool.pool import ModelPool
from state.event_log import EventLog


class Remotes(RemoteSupplier, Gates, Protocol):
    """Other services whose agents may answer."""


class Application:
    """Runs its parts inside its context; leaving it drains the runs. `hurried` ends the waiting for them."""

    def __init__(
        self,
        stores: Stores,
        agents: Agents,
        runner: AgentRunner,
        models: ModelPool,
        tools: ToolSupplier,
        *,
        remotes: Remotes,
        codec: Codec,
        limits: Limits,
        spool: TaskSpool | None = None,
        watching: Watching | None = None,
        hurried: asyncio.Event | None = None,
    ) -> None:
        self._models, self._stores, self._limits, self._codec = models, stores, limits, codec
        self._remotes = remotes
        self._watching = watching or Watching()
        self.log = EventLog(
            stores.events, tail_records=limits.tail_records, outage_seconds=limits.outage_seconds
        )
        self.supervisor = self._supervisor(hurried)
        self._cancellation = self._cancelling()
        self._turns = Turns(stores.runs, self.log, self._cancellation.cancel)
        self._workshop = Workshop(agents, self._bench(runner, tools), limits.caps)
        self.line = self._line()
        self.budgets = Budgets(stores.usage, limits.budget, lambda: models.currency)
        self.usage = UsageService(stores.usage, self.budgets, lambda: models.currency)
        self.permissions = self._permissions(tools)
        reader, idle = RunReader(self.log, self.line), limits.chat.heartbeat_seconds
        self.chat = self._chat(reader)
        journal = OutageJournal(spool, codec.encode, limits.line) if spool else None
        self.tasks = self._tasks(journal)
        self._drain = self._draining(spool, journal) if spool and journal else None
        self.resume = ResumeService(stores.runs, self.log, reader, heartbeat_seconds=idle)
        self.conversations = self._conversations(runner)
        self._replica = self._replicated()
        self._settling, self._edges = self._repeated()
        self._retention = Retention(stores.retention, limits.retention)
        self._parts = AsyncExitStack()

    def _supervisor(self, hurried: asyncio.Event | None) -> RunSupervisor:
        stores, limits = self._stores, self._limits.runs
        return RunSupervisor(
            stores.runs,
            self.log,
            self._codec.encode,
            limits,
            suspension=stores.suspension,
            hurried=hurried,
            observer=self._watching.runs,
        )

    def _cancelling(self) -> Cancellation:
        return Cancellation(
            self._stores.runs,
            self.supervisor,
            self._codec.encode,
            self._remotes.cancel,
            observer=self._watching.runs,
        )

    def _permissions(self, tools: ToolSupplier) -> PermissionService:
        return PermissionService(
            self._stores.permissions,
            self._codec.encode,
            EditedArguments(tools),
            observer=self._watching.permissions,
            runs=self._watching.runs,
        )

    def _replicated(self) -> Replica:
        return Replica(
            self._stores.leases,
            self.supervisor,
            self._codec.encode,
            self._limits.leases,
            self._counted,
            observer=self._watching.runs,
        )

    def _repeated(self) -> tuple[Repeated, Repeated]:
        seconds, again = self._limits.leases.reap_seconds, self._limits.leases.beat_seconds
        edges = ProviderEdges(self._stores.providers_down, self._models.status, again_seconds=again)
        return (
            Repeated("settling of permissions", seconds, self.permissions.settle),
            Repeated("telling of providers", seconds, edges.look),
        )

    def _bench(self, runner: AgentRunner, tools: ToolSupplier) -> Workbench:
        stores = self._stores
        return Workbench(
            runner,
            self._models,
            stores.branches,
            stores.runs,
            tools,
            consent=stores.permissions,
            journal=stores.effects,
            remotes=self._remotes,
            operator=self._limits.tool_policy,
            craft=self._limits.craft,
            watching=self._watching.tools,
        )

    def _conversations(self, runner: AgentRunner) -> ConversationService:
        return ConversationService(
            self._stores.conversations,
            self._stores.runs,
            self._turns,
            runner.history,
            delete_seconds=self._limits.chat.max_wait_seconds,
        )

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
            observer=self._watching.runs,
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
            Room(self._models, self._remotes),
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
            observer=self._watching.line,
            runs=self._watching.runs,
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
                self._edges,
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
            "the telling of providers": self._edges.died,
            "retention": self._retention.died,
            "the line": self.line.died,
        }
        return deaths if self._drain is None else {**deaths, "the drain": self._drain.died}
