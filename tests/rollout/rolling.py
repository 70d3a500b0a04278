"""An open rollout over a flag file, a local path that says so, and what callers got."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from openfeature.provider import FeatureProvider
from prometheus_client import CollectorRegistry

from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.options import Options
from llm_orchestrator_client.payloads import Completion, ContentDelta, Event
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.assembly import Rollout, RolloutSettings, open_rollout
from llm_orchestrator_client.rollout.conversations import Conversations, MemoryConversations
from llm_orchestrator_client.rollout.flag_file import FlagFileProvider, write_flag
from llm_orchestrator_client.rollout.flags import Flag, Refusals
from llm_orchestrator_client.rollout.halt import Halt, MemoryHalt
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.orchestrator import ConnectedOrchestrator
from llm_orchestrator_client.rollout.shadow import ShadowReport
from llm_orchestrator_client.values import FinishReason

LOCAL = "said locally"


def request_of(user: str = "ann", query: str = "hello", **fields: Any) -> pb.ChatRequest:
    return pb.ChatRequest(user_id=user, query=query, **fields)


@dataclass
class Answered:
    """What one caller got: the events, and the error that ended them."""

    events: list[Event] = field(default_factory=list)
    error: OrchestratorError | None = None

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, ContentDelta))

    @property
    def ends(self) -> int:
        """How often it was told that the answer is complete."""
        return sum(isinstance(e, Completion) for e in self.events)


@dataclass
class World:
    """A rollout, its flags and its counts."""

    rollout: Rollout
    registry: CollectorRegistry
    file: Path
    reports: list[ShadowReport]
    local_calls: int = 0

    def set(self, flag: Flag, value: bool | float | str) -> None:
        """Into the flag file."""
        write_flag(self.file, flag, value)

    async def local(self, request: pb.ChatRequest) -> AsyncGenerator[Event]:
        """The backend's own path."""
        self.local_calls += 1
        yield ContentDelta(LOCAL, metadata={"query": request.query})
        yield Completion(FinishReason.STOP, LOCAL)

    async def ask(self, request: pb.ChatRequest | None = None, *, seconds: float | None = 30.0) -> Answered:
        """One turn to its end."""
        answered = Answered()
        stream = self.rollout.router.stream_chat(request or request_of(), self.local, seconds=seconds)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    answered.events.append(event)
        except OrchestratorError as error:
            answered.error = error
        return answered

    def value(self, name: str, **labels: str) -> float:
        """What the registry exports; 0 for what was never counted."""
        return self.registry.get_sample_value(name, labels) or 0.0


def flags_on(file: Path, percentage: float = 100.0, **others: bool | float | str) -> Path:
    """A flag file that sends so many users to the orchestrator."""
    write_flag(file, Flag.USE_ORCHESTRATOR, True)
    write_flag(file, Flag.PERCENTAGE, percentage)
    for name, value in others.items():
        write_flag(file, Flag[name], value)
    return file


@asynccontextmanager
async def rolled_out(
    target: str | Sequence[str],
    file: Path,
    *,
    settings: RolloutSettings | None = None,
    conversations: Conversations | None = None,
    halt: Halt | None = None,
    provider: FeatureProvider | None = None,
) -> AsyncIterator[World]:
    """A rollout in front of an orchestrator at `target`, in an OpenFeature domain of its own."""
    registry, reports = CollectorRegistry(), list[ShadowReport]()
    metrics = RolloutMetrics(registry)
    refusals = Refusals(metrics.flag_refused)
    settings = settings or RolloutSettings()
    values = {name: getattr(settings, name) for name in RolloutSettings.__dataclass_fields__}
    async with (
        Connection(Options(target=target)) as connection,
        open_rollout(
            ConnectedOrchestrator(connection),
            provider or FlagFileProvider(file, refusals, look_seconds=0.0),
            metrics,
            refusals,
            conversations=conversations or MemoryConversations(),
            halt=halt or MemoryHalt(),
            settings=RolloutSettings(**{**values, "domain": uuid4().hex}),
            reports=reports.append,
        ) as rollout,
    ):
        yield World(rollout, registry, file, reports)
