"""From an assignment to the work that a run executes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from agents.loader import UNDECIDED
from agents.router import Routed, RouteReason, Undecided
from agents.variables import check_variables
from agents.variants import varied
from orchestrator.assignment import Assignment
from orchestrator.choosing import (
    CLASSIFIER_WANTS,
    Agents,
    Choosing,
    Chosen,
    Needed,
    chosen_of,
    needed,
    wants_of,
)
from orchestrator.events import AgentChosen, LeftOff
from orchestrator.execution import Work
from orchestrator.turn_work import Job, TurnWork, Workbench
from providers.pool.account import RunAccount
from providers.pool.admission import Admitted
from providers.pool.run_budget import RunCaps
from state.errors import ConversationNotEmptyError, InvalidRequestError
from state.models import ClaimedRun, ConversationId, NewRun, RequestKey, Route, RunId, RunKind
from state.threads import thread_id
from state.usage import NOTHING_USED, Usage
from state.violations import FieldViolation, PreconditionViolation
from telemetry.scope import scope


@dataclass(frozen=True, slots=True)
class Plan:
    """Who answers an assignment, or may, and what a permit must serve for the first call."""

    assignment: Assignment
    decision: Chosen | Undecided
    wants: str

    @property
    def chosen(self) -> Chosen | None:
        """Who answers, if that is known."""
        return None if isinstance(self.decision, Undecided) else self.decision

    @property
    def introduction(self) -> list[AgentChosen]:
        """Tells who answers, if that is known."""
        return [] if self.chosen is None else [self.chosen.event]

    @property
    def routing_reason(self) -> str:
        """Why that agent answers, or who is going to choose it."""
        return RouteReason.CLASSIFIER.value if self.chosen is None else self.chosen.reason.value


class Workshop:
    """Knows the agents, the models and the conversations; `caps` bound every run."""

    def __init__(
        self,
        agents: Agents,
        bench: Workbench,
        caps: RunCaps,
        *,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._agents = agents
        self._bench = bench
        self._caps = caps
        self._new_id = new_id
        self._choosing = Choosing(agents, bench.models)

    async def plan(self, assignment: Assignment) -> Plan:
        """Choose who answers, or leave that to the run when a model has to say.

        Raises:
            InvalidRequestError: No such agent, no such model or none that can do what is asked, another
                currency, or a hint is missing that the agent needs.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
        """
        decision = self._choosing.decide(assignment)
        found = chosen_of(assignment, decision) if isinstance(decision, Routed) else decision
        spec = found.fallback if isinstance(found, Undecided) else found.spec
        self._check_models(needed(assignment, spec))
        if not isinstance(found, Undecided):
            check_variables(spec.name, spec.variables, assignment.turn.hints)
        currency = self._bench.models.currency
        if assignment.currency not in ("", currency):
            only = f"costs are counted in {currency} here"
            raise InvalidRequestError(FieldViolation("limits.currency", only))
        await self._check_base(assignment)
        asks = isinstance(found, Undecided)
        return Plan(assignment, found, CLASSIFIER_WANTS if asks else wants_of(assignment, spec))

    def _check_models(self, needed: Needed) -> None:
        choice, images, tools, elsewhere = needed
        if elsewhere:
            return
        models = self._bench.models.infos(choice)
        if images and not any(info.images for info in models):
            what = "none of the models that may answer sees images"
            raise InvalidRequestError(FieldViolation("attachments", what))
        if tools and not any(info.tools and (info.images or not images) for info in models):
            what = "this agent uses tools, and none of the models that may answer can"
            raise InvalidRequestError(FieldViolation("agent_type", what))

    def run_of(
        self,
        plan: Plan,
        kind: RunKind,
        *,
        survives: bool,
        wait_seconds: float,
        key: RequestKey | None = None,
    ) -> NewRun:
        """A run for it, with an id of its own, in a conversation of its own if it names none."""
        assignment = plan.assignment
        return NewRun(
            run_id=RunId(self._new_id()),
            owner=assignment.owner,
            kind=kind,
            conversation_id=assignment.conversation_id or ConversationId(self._new_id()),
            agent_name=plan.chosen.spec.name if plan.chosen else UNDECIDED,
            request=assignment.request,
            survives=survives,
            wants=plan.wants,
            wait_seconds=wait_seconds,
            key=key,
            route=plan.chosen.route if plan.chosen else Route(),
            traceparent=scope().traceparent,
        )

    def work(self, plan: Plan, run: NewRun, admitted: Admitted) -> Work:
        """What a new run does, its first model call with the permit that it has got."""
        job = Job(
            plan.assignment,
            run.run_id,
            run.conversation_id,
            chosen=partial(_known, plan.decision),
            hurries=run.key is None,
            goes_on_from=None if run.from_start else run.retry_of,
        )
        return TurnWork(self._bench, job, admitted, self._account(plan.assignment))

    def introduction(self, claimed: ClaimedRun, left_off: LeftOff) -> list[AgentChosen]:
        """Tells who answers a run that was taken from the line, unless its log does or it is not known."""
        if left_off.introduced or claimed.agent_name == UNDECIDED:
            return []
        route = claimed.route
        return [AgentChosen(claimed.agent_name, route.version, route.reason, route.variant)]

    def work_again(
        self, assignment: Assignment, claimed: ClaimedRun, admitted: Admitted, texts_shown: int
    ) -> Work:
        """What a run does that was taken from the line, perhaps not for the first time."""
        job = Job(
            assignment,
            claimed.attempt.run_id,
            claimed.conversation_id,
            chosen=partial(self._chosen_before, assignment, claimed),
            again=claimed.attempt.number > 1,
            texts_shown=texts_shown,
            goes_on_from=claimed.goes_on_from,
        )
        account = self._account(assignment, claimed.usage, claimed.running_seconds)
        return TurnWork(self._bench, job, admitted, account)

    async def _chosen_before(
        self, assignment: Assignment, claimed: ClaimedRun
    ) -> Chosen | Routed | Undecided:
        """Who answers a run, as it was chosen when the run began, however its file may have changed."""
        if claimed.agent_name == UNDECIDED:
            return self._choosing.decide(assignment)
        spec, kept = await self._agents.version(claimed.agent_name, claimed.route.version), claimed.route
        reason = RouteReason(kept.reason) if kept.reason else RouteReason.DEFAULT
        return Chosen(varied(spec, kept.variant), kept.variant, reason)

    def _account(
        self, assignment: Assignment, earlier: Usage = NOTHING_USED, seconds: float = 0.0
    ) -> RunAccount:
        caps, currency = self._caps.lowered(assignment.caps), self._bench.models.currency
        return RunAccount(caps, currency=currency, earlier=earlier, running_seconds=seconds)

    async def _check_base(self, assignment: Assignment) -> None:
        owner, conversation = assignment.owner, assignment.conversation_id
        branches = self._bench.branches
        if not assignment.base_checkpoint_id:
            return
        own = thread_id(owner, conversation)
        source = await branches.find(owner, assignment.base_checkpoint_id, own)
        if conversation and source != own and not await branches.is_empty(own):
            must = PreconditionViolation("CONVERSATION", "conversation_id", "must be new or without a turn")
            raise ConversationNotEmptyError("the conversation has turns of its own", must)


async def _known(decision: Chosen | Undecided) -> Chosen | Undecided:
    return decision
