"""What the application is made from: stores, the wire, limits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from agents.aside import Craft
from orchestrator import draining, outage
from orchestrator.assignment import Assignment
from orchestrator.budgets import DailyBudget, DayStore
from orchestrator.chat_service import ChatTimes
from orchestrator.draining import DrainStore, DrainTimes
from orchestrator.events import ChunkEncoder, LeftOff
from orchestrator.line_limits import LineLimits
from orchestrator.provider_edges import ProvidersDown
from orchestrator.replica import LeaseTimes
from orchestrator.retention import RetentionStore, RetentionTimes
from orchestrator.run_limits import RunLimits
from orchestrator.task import TaskTimes
from orchestrator.usage import UsageStore
from providers.pool.run_budget import RunCaps
from state.line_ports import LineStore
from state.models import RunKind
from state.permission_ports import EffectStore, PermissionStore, Suspension
from state.ports import (
    BranchStore,
    ConversationStore,
    EventStore,
    LeaseStore,
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
    @property
    def providers_down(self) -> ProvidersDown: ...


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
    craft: Craft
    tool_policy: Mapping[str, Verdict]
    tail_records: int
    outage_seconds: float
