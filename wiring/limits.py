"""What the settings say, as the parts want it."""

from agents.aside import Craft
from config.load import picked
from config.settings import ServerSettings, Settings
from orchestrator.admission import Admission, AdmissionLimits
from orchestrator.again import RetryPolicy
from orchestrator.budgets import DailyBudget
from orchestrator.chat_service import ChatTimes
from orchestrator.draining import DrainTimes
from orchestrator.interceptors import EdgeLimits, GuardInterceptor
from orchestrator.line_limits import LineLimits
from orchestrator.parts import Limits
from orchestrator.replica import LeaseTimes
from orchestrator.retention import RetentionTimes
from orchestrator.run_limits import RunLimits
from orchestrator.server import ServerOptions
from orchestrator.task import TaskTimes
from providers.pool.run_budget import RunCaps
from tools.policy import Verdict


def limits_of(settings: Settings) -> Limits:
    """What the settings say of runs, their readers and what is left of them."""
    run, stream, waits = settings.run, settings.stream, settings.queue.timeout_seconds
    return picked(
        Limits,
        stream,
        settings.database,
        runs=picked(
            RunLimits,
            stream,
            settings.server,
            run,
            permission_seconds=settings.tools.permission_seconds,
            retries=picked(RetryPolicy, run),
        ),
        caps=picked(RunCaps, run, max_seconds=run.max_duration_seconds, max_tool_calls=None),
        budget=picked(DailyBudget, settings.budget),
        leases=picked(LeaseTimes, run),
        retention=_retention_of(settings),
        chat=picked(ChatTimes, stream, run, queue_seconds=waits),
        tasks=picked(TaskTimes, run, queue_seconds=waits),
        line=picked(LineLimits, settings.queue),
        tool_policy={name: Verdict(verdict) for name, verdict in settings.tools.policy.items()},
        drain=picked(DrainTimes, settings.journal),
        craft=picked(Craft, settings.agents),
    )


def _retention_of(settings: Settings) -> RetentionTimes:
    if settings.events.brokers:  # an event that no broker has may not be lost, however long that takes
        return picked(RetentionTimes, settings.retention, outbox_seconds=None)
    return picked(RetentionTimes, settings.retention)


def edge_of(server: ServerSettings) -> tuple[GuardInterceptor, ServerOptions]:
    """What the settings say of the transport and its limits."""
    admission = Admission(picked(AdmissionLimits, server))
    options = picked(ServerOptions, server, connection_grace_seconds=server.stream_seconds)
    return GuardInterceptor(admission, picked(EdgeLimits, server)), options
