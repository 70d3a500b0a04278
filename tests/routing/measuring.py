"""How well the labelled requests find their agents: without a model, with a perfect one, with a real one."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import orjson

from agents.classifier import classify
from agents.loader import AgentCatalog
from agents.router import Routed, RouteReason, RouteWish, Undecided, route
from agents.turn import Turn
from providers.base import CallAccepted, ChatModel, Delta, ModelFinished, ModelInfo, ModelRequest, TextDelta
from state.models import FinishReason
from tests.routing.labelled import Labelled

_SEED = 7


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who was given a request, and why."""

    request: Labelled
    agent: str
    reason: RouteReason

    @property
    def right(self) -> bool:
        return self.agent == self.request.agent


class Knowing:
    """A scripted classifier: it gives each request the agent that it is labelled with."""

    def __init__(self, requests: Sequence[Labelled]) -> None:
        self._agents = {request.text: request.agent for request in requests}

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", "knowing", 1 << 20)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        yield CallAccepted()
        yield TextDelta(orjson.dumps({"agent": self._agents[request.messages[-1].content]}).decode())
        yield ModelFinished(FinishReason.STOP, "", "scripted", "knowing")

    async def probe(self) -> None:
        """It is always there."""


class Unmarked:
    """A model that may be asked although its configuration says it is not fit to choose agents."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def info(self) -> ModelInfo:
        return replace(self._model.info, routing=True)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """As that of the model."""
        return self._model.stream(replace(request, routing=False))

    async def probe(self) -> None:
        """As that of the model."""
        await self._model.probe()


def cheap(catalog: AgentCatalog, requests: Sequence[Labelled]) -> list[Outcome]:
    """Without a model: what is not plain goes to the default agent."""
    outcomes = []
    for request in requests:
        routed = route(catalog, RouteWish(), request.text, able=lambda spec: True, classifies=False)
        assert isinstance(routed, Routed)
        outcomes.append(Outcome(request, routed.spec.name, routed.reason))
    return outcomes


async def classified(
    catalog: AgentCatalog,
    requests: Sequence[Labelled],
    model: ChatModel,
    *,
    seconds: float,
    at_once: int = 1,
) -> list[Outcome]:
    """With this model for what is not plain: those that were asked in the time, in an order of no meaning."""
    left = random.Random(_SEED).sample(requests, len(requests))
    ends_at, outcomes = monotonic() + seconds, list[Outcome]()

    async def ask() -> None:
        while left and monotonic() < ends_at:
            request = left.pop()
            decided = route(catalog, RouteWish(), request.text, able=lambda spec: True, classifies=True)
            if isinstance(decided, Undecided):
                decided = await classify(model, decided, Turn(request.text))
            outcomes.append(Outcome(request, decided.spec.name, decided.reason))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(ask())
    return outcomes


def share(outcomes: Sequence[Outcome]) -> str:
    """How many are right, as a share and as numbers."""
    right = sum(outcome.right for outcome in outcomes)
    return f"{100 * right / max(1, len(outcomes)):5.1f} %  ({right} of {len(outcomes)})"


def confusions(outcomes: Sequence[Outcome], most: int) -> list[str]:
    """The pairs of agents that were mixed up most often, a line each."""
    wrong = Counter((o.request.agent, o.agent) for o in outcomes if not o.right)
    return [f"{count:4}  {meant} -> {got}" for (meant, got), count in wrong.most_common(most)]
