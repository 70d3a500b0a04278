"""Who answers an assignment, with which models, and how that is written down."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agents.loader import AgentCatalog
from agents.router import Routed, RouteReason, Undecided, lock_after, route
from agents.spec import AgentSpec
from agents.variables import missing
from agents.variants import variant_for, varied
from orchestrator.assignment import Assignment
from orchestrator.events import AgentChosen
from providers.pool.choice import ClassChoice, ModelChoice, key_of, remote_key
from providers.pool.needs import Needs
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunCaps
from state.errors import InvalidRequestError
from state.models import Route

CLASSIFIER = ClassChoice("fast")
"""Who may choose an agent, as far as they are marked for it."""

CLASSIFIER_WANTS = key_of(CLASSIFIER, routing=True)
"""What a permit must serve for that call."""

_NO_TOOLS = ("none",)
_CLASSIFIES = Needs(json_schema=True, routing=True)


class Agents(Protocol):
    """The agents as their files are now, and as they were."""

    @property
    def current(self) -> AgentCatalog: ...

    async def version(self, name: str, version: str) -> AgentSpec:
        """The agent as it was in a version of its file; as it is now, where that is not known.

        Raises:
            InvalidRequestError: There is no such agent.
            DatabaseUnavailableError: Old versions cannot be read.
        """
        ...


class Needed(NamedTuple):
    """What an agent needs for an assignment: the models it is answered by must do all of it.

    `elsewhere`: the remote that answers it with models of its own.
    """

    choice: ModelChoice
    images: bool
    tools: bool
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers, as the `variant` that `spec` already is, and why."""

    spec: AgentSpec
    variant: str
    reason: RouteReason

    @property
    def route(self) -> Route:
        """As it stands in the run's row."""
        return Route(self.spec.version, self.variant, self.reason.value)

    @property
    def event(self) -> AgentChosen:
        """As the log tells it."""
        return AgentChosen(self.spec.name, self.spec.version, self.reason.value, self.variant)

    @property
    def caps(self) -> RunCaps:
        """The agent's own. The call that chose it is none of its steps."""
        steps = 1 if self.reason in (RouteReason.CLASSIFIER, RouteReason.CLASSIFIER_INVALID) else 0
        return RunCaps(max_steps=self.spec.max_steps + steps, max_tool_calls=self.spec.max_tool_calls)

    def about(self, assignment: Assignment) -> dict[str, str]:
        """What the end of the run says of it."""
        lock = lock_after(assignment.wish, self.spec)
        variant = {"variant": self.variant} if self.variant else {}
        return variant if lock is None else {**variant, "locked_agent": lock}


class Choosing:
    """Decides as far as that goes without a model."""

    def __init__(self, agents: Agents, models: ModelPool) -> None:
        self._agents = agents
        self._models = models

    def decide(self, assignment: Assignment) -> Routed | Undecided:
        """Raises: InvalidRequestError: An agent that was asked for does not exist."""
        served: dict[Needed, bool] = {}  # most of the agents need the same

        def able(spec: AgentSpec) -> bool:
            # Without what its prompt needs it would fail.
            if missing(spec.variables, assignment.turn.hints):
                return False
            wish = needed(assignment, spec)
            if (known := served.get(wish)) is None:
                known = served[wish] = self._serves(wish)
            return known

        return route(
            self._agents.current,
            assignment.wish,
            assignment.turn.question,
            able=able,
            # A request that names its models goes to no other.
            classifies=assignment.model is None and self._there_is(CLASSIFIER, _CLASSIFIES),
        )

    def _serves(self, wish: Needed) -> bool:
        if wish.elsewhere:
            return True
        return self._there_is(wish.choice, Needs(images=wish.images, tools=wish.tools))

    def _there_is(self, choice: ModelChoice, needs: Needs) -> bool:
        try:
            return bool(self._models.infos(choice, needs))
        except InvalidRequestError:
            return False


def chosen_of(assignment: Assignment, routed: Routed) -> Chosen:
    """The agent as this user gets it."""
    variant = variant_for(routed.spec, assignment.owner)
    return Chosen(varied(routed.spec, variant), variant, routed.reason)


def needed(assignment: Assignment, spec: AgentSpec) -> Needed:
    """What the agent's first call needs."""
    tools = spec.offers_tools and assignment.allowed_tools != _NO_TOOLS
    elsewhere = spec.remote.service if spec.remote else ""
    choice = assignment.model or ClassChoice(spec.model_class)
    return Needed(choice, bool(assignment.turn.images), tools, elsewhere)


def wants_of(assignment: Assignment, spec: AgentSpec) -> str:
    """What a permit must serve for that call."""
    choice, images, tools, elsewhere = needed(assignment, spec)
    if elsewhere:
        return remote_key(elsewhere)
    return key_of(choice, images=images, tools=tools)
