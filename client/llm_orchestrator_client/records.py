"""What calls answer with, as plain Python. Times are aware datetimes in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import (
    ErrorDetail,
    FinishReason,
    OpenEnum,
    Permission,
    PermissionState,
    TaskState,
    Usage,
    error_of,
    moment,
    permission_of,
    span,
    usage_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTask:
    """A task was accepted. `deduplicated`: an earlier call with the same request_id had begun it."""

    task_id: str
    conversation_id: str
    state: TaskState
    message: str = ""
    deduplicated: bool = False
    queue_position: int = 0
    estimated_wait: timedelta | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task, or a chat run, as it stands. `result` may be partial: metadata partial = "true"."""

    task_id: str
    conversation_id: str
    state: TaskState
    result: str = ""
    error: ErrorDetail | None = None
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    usage: Usage | None = None
    last_sequence: int = 0
    attempt: int = 0
    deferrals: int = 0
    priority: int = 0
    progress: float | None = None
    queue_position: int = 0
    estimated_wait: timedelta | None = None
    agent_name: str = ""
    retry_of: str = ""
    create_time: datetime | None = None
    start_time: datetime | None = None
    update_time: datetime | None = None
    end_time: datetime | None = None
    purge_time: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pending_permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision as it stands. `arguments_digest`: of what will be executed."""

    permission_id: str
    run_id: str
    state: PermissionState
    already_decided: bool
    arguments_digest: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A state of the conversation that a turn can branch from; `head`: where it stands."""

    checkpoint_id: str
    parent_checkpoint_id: str
    create_time: datetime | None
    step: int
    next_nodes: tuple[str, ...]
    run_id: str
    preview: str
    head: bool


class ProviderState(OpenEnum):
    """Whether a call would be made now."""

    UNSPECIFIED = 0
    AVAILABLE = 1
    SATURATED = 2
    UNAVAILABLE = 3
    PROBING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider as one replica sees it; `error_rate` 0..1 over a minute, latency to the first token."""

    name: str
    models: tuple[str, ...]
    state: ProviderState
    in_flight: int
    concurrency_limit: int
    retry_time: datetime | None
    error_rate: float
    latency_p50: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """The providers, and the line in front of them over all replicas."""

    providers: tuple[Provider, ...]
    queued: int
    running: int
    queue_capacity: int
    accepting_tasks: bool
    model_classes: Mapping[str, ProviderState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A server's view of itself: "healthy", "degraded" or "unhealthy"."""

    status: str
    details: Mapping[str, str]
    version: str
    draining: bool
    uptime: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server can do; ask for a feature here, never compare versions."""

    version: str
    features: tuple[str, ...]
    agents: tuple[str, ...]
    max_request_bytes: int
    event_retention: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota of the user; its unit is part of its name."""

    name: str
    limit: int
    used: int
    reset_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What a user's runs have used in a span of time, and the quotas that apply now."""

    usage: Usage
    quotas: tuple[Quota, ...]
    by_agent: Mapping[str, Usage]


def started_task_of(answer: pb.TaskResponse) -> StartedTask:
    """StartTask's answer as ours."""
    return StartedTask(
        task_id=answer.task_id,
        conversation_id=answer.conversation_id,
        state=TaskState(answer.state),
        message=answer.message,
        deduplicated=answer.deduplicated,
        queue_position=answer.queue_position,
        estimated_wait=span(answer, "estimated_wait"),
        metadata=dict(answer.metadata),
    )


def task_of(status: pb.TaskStatusResponse) -> Task:
    """A task's status as ours."""
    return Task(
        task_id=status.task_id,
        conversation_id=status.conversation_id,
        state=TaskState(status.state),
        result=status.result,
        error=error_of(status.error) if status.HasField("error") else None,
        finish_reason=FinishReason(status.finish_reason),
        usage=usage_of(status.usage) if status.HasField("usage") else None,
        last_sequence=status.last_sequence,
        attempt=status.attempt,
        deferrals=status.deferrals,
        priority=status.task_priority,
        progress=status.progress if status.HasField("progress") else None,
        queue_position=status.queue_position,
        estimated_wait=span(status, "estimated_wait"),
        agent_name=status.agent_name,
        retry_of=status.retry_of,
        create_time=moment(status, "create_time"),
        start_time=moment(status, "start_time"),
        update_time=moment(status, "update_time"),
        end_time=moment(status, "end_time"),
        purge_time=moment(status, "purge_time"),
        metadata=dict(status.metadata),
        labels=dict(status.labels),
        pending_permissions=tuple(map(permission_of, status.pending_permissions)),
    )


def decision_of(answer: pb.ApprovalResponse) -> Decision:
    """ApprovePermission's answer as ours."""
    return Decision(
        permission_id=answer.permission_id,
        run_id=answer.run_id,
        state=PermissionState(answer.state),
        already_decided=answer.already_decided,
        arguments_digest=answer.arguments_digest,
        message=answer.message,
    )


def checkpoint_of(info: pb.CheckpointInfo) -> Checkpoint:
    """A checkpoint as ours."""
    return Checkpoint(
        checkpoint_id=info.checkpoint_id,
        parent_checkpoint_id=info.parent_checkpoint_id,
        create_time=moment(info, "create_time"),
        step=info.step,
        next_nodes=tuple(info.next_nodes),
        run_id=info.run_id,
        preview=info.preview,
        head=info.head,
    )


def provider_of(status: pb.ProviderStatus) -> Provider:
    """A provider's status as ours."""
    return Provider(
        name=status.name,
        models=tuple(status.models),
        state=ProviderState(status.state),
        in_flight=status.in_flight,
        concurrency_limit=status.concurrency_limit,
        retry_time=moment(status, "retry_time"),
        error_rate=status.error_rate,
        latency_p50=span(status, "latency_p50"),
    )


def usage_report_of(answer: pb.GetUsageResponse) -> UsageReport:
    """GetUsage's answer as ours."""
    quotas = (
        Quota(name=q.name, limit=q.limit, used=q.used, reset_time=moment(q, "reset_time"))
        for q in answer.quotas
    )
    by_agent = {share.agent_name: usage_of(share.usage) for share in answer.by_agent}
    return UsageReport(usage=usage_of(answer.usage), quotas=tuple(quotas), by_agent=by_agent)
