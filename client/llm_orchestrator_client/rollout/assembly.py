"""All of the rollout, put together: what a backend opens once."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from openfeature.provider import FeatureProvider

from llm_orchestrator_client.rollout.breaker import BreakerSettings, CallerBreaker
from llm_orchestrator_client.rollout.budget import Budget, BudgetSettings
from llm_orchestrator_client.rollout.conversations import Conversations
from llm_orchestrator_client.rollout.decision import Decider
from llm_orchestrator_client.rollout.flags import Refusals, RolloutFlags
from llm_orchestrator_client.rollout.halt import Halt
from llm_orchestrator_client.rollout.loading import DOMAIN, opened_flags
from llm_orchestrator_client.rollout.measured import Measured
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.remote import Remote
from llm_orchestrator_client.rollout.router import RolloutRouter, RouterSettings
from llm_orchestrator_client.rollout.shadow import Reports, Shadow, ShadowSettings, log_report


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """`salt` decides who is first; processes with the same one agree. `domain`: the OpenFeature domain, one
    for each rollout of a process.
    """

    salt: str = "llm-orchestrator"
    domain: str = DOMAIN
    router: RouterSettings = field(default_factory=RouterSettings)
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    shadow: ShadowSettings = field(default_factory=ShadowSettings)


@dataclass(frozen=True, slots=True)
class Rollout:
    """An open rollout. `budget.release()` ends a halt."""

    router: RolloutRouter
    decider: Decider
    flags: RolloutFlags
    budget: Budget
    breaker: CallerBreaker
    shadow: Shadow
    metrics: RolloutMetrics


@asynccontextmanager
async def open_rollout(
    remote: Remote,
    provider: FeatureProvider,
    metrics: RolloutMetrics,
    refusals: Refusals,
    *,
    conversations: Conversations,
    halt: Halt,
    settings: RolloutSettings = RolloutSettings(),  # frozen
    reports: Reports = log_report,
) -> AsyncGenerator[Rollout]:
    """A rollout on these flags. `reports` gets what shadow calls found.

    Raises whatever the provider raises that cannot start.
    """
    with opened_flags(provider, refusals, domain=settings.domain) as flags:
        budget = Budget(settings.budget, halt, metrics)
        decider = Decider(flags, conversations, budget.cause, salt=settings.salt)
        breaker = CallerBreaker(settings.breaker)
        shadow = Shadow(remote, metrics, settings=settings.shadow, reports=reports)
        measured = Measured(metrics, budget)
        metrics.follow(flags, halt)
        router = RolloutRouter(
            remote, decider, breaker, measured, metrics, settings=settings.router, shadow=shadow
        )
        async with router:
            yield Rollout(router, decider, flags, budget, breaker, shadow, metrics)
