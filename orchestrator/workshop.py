"""From an assignment to the work that a run executes."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from agents.loader import AgentCatalog
from agents.spec import AgentSpec
from agents.variables import check_variables
from orchestrator.assignment import Assignment
from orchestrator.events import AgentChosen
from orchestrator.execution import Work
from orchestrator.turn_work import Job, TurnWork, Workbench
from providers.pool.account import RunAccount
from providers.pool.admission import Admitted
from providers.pool.choice import ClassChoice, ModelChoice, key_of
from providers.pool.run_budget import RunCaps
from state.errors import (
    ConversationNotEmptyError,
    FieldViolation,
    InvalidRequestError,
    PreconditionViolation,
)
from state.models import ClaimedRun, ConversationId, NewRun, RequestKey, RunId, RunKind
from state.threads import thread_id
from state.usage import NOTHING_USED, Usage

_NO_TOOLS = ("none",)


@dataclass(frozen=True, slots=True)
class Plan:
    """Who answers an assignment, why, and what a permit must serve for that."""

    assignment: Assignment
    spec: AgentSpec
    routing_reason: str
    wants: str

    @property
    def chosen(self) -> AgentChosen:
        """Tells who answers."""
        return AgentChosen(self.spec.name, self.spec.version, self.routing_reason)


class Workshop:
    """Knows the agents, the models and the conversations; `caps` bound every run."""

    def __init__(
        self,
        catalog: AgentCatalog,
        bench: Workbench,
        caps: RunCaps,
        *,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._catalog = catalog
        self._bench = bench
        self._caps = caps
        self._new_id = new_id

    async def plan(self, assignment: Assignment) -> Plan:
        """Choose who answers.

        Raises:
            InvalidRequestError: No such agent, no such model or none that can do what is asked, another
                currency, or a hint is missing that the agent needs.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
        """
        spec, routing_reason = self._catalog.resolve(assignment.agent_type)
        check_variables(spec.name, spec.variables, assignment.turn.hints)
        choice = assignment.model or ClassChoice(spec.model_class)
        images = bool(assignment.turn.images)
        tools = spec.offers_tools and assignment.allowed_tools != _NO_TOOLS
        self._check_models(choice, images=images, tools=tools)
        currency = self._bench.models.currency
        if assignment.currency not in ("", currency):
            only = f"costs are counted in {currency} here"
            raise InvalidRequestError(FieldViolation("limits.currency", only))
        await self._check_base(assignment)
        return Plan(assignment, spec, routing_reason, key_of(choice, images=images, tools=tools))

    def _check_models(self, choice: ModelChoice, *, images: bool, tools: bool) -> None:
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
            agent_name=plan.spec.name,
            request=assignment.request,
            survives=survives,
            wants=plan.wants,
            wait_seconds=wait_seconds,
            key=key,
        )

    def work(self, plan: Plan, run: NewRun, admitted: Admitted) -> Work:
        """What a new run does, its first model call with the permit that it has got."""
        job = Job(
            plan.assignment,
            run.run_id,
            run.conversation_id,
            spec=lambda: plan.spec,
            hurries=run.key is None,
            goes_on_from=None if run.from_start else run.retry_of,
        )
        return TurnWork(self._bench, job, admitted, self._account(plan.assignment, plan.spec))

    def chosen(self, assignment: Assignment, claimed: ClaimedRun) -> list[AgentChosen]:
        """Tells who answers, when a run is taken from the line for the first time."""
        spec = self.agent_of(claimed)
        if spec is None or claimed.attempt.number > 1:
            return []
        return [AgentChosen(spec.name, spec.version, self._catalog.reason(assignment.agent_type))]

    def work_again(
        self, assignment: Assignment, claimed: ClaimedRun, admitted: Admitted, texts_shown: int
    ) -> Work:
        """What a run does that was taken from the line, perhaps not for the first time."""
        spec = self.agent_of(claimed)

        def its_agent() -> AgentSpec:
            return spec or self._catalog.resolve(claimed.agent_name)[0]  # gone meanwhile: then the run fails

        job = Job(
            assignment,
            claimed.attempt.run_id,
            claimed.conversation_id,
            spec=its_agent,
            again=claimed.attempt.number > 1,
            texts_shown=texts_shown,
            goes_on_from=claimed.goes_on_from,
        )
        account = self._account(assignment, spec, claimed.usage, claimed.running_seconds)
        return TurnWork(self._bench, job, admitted, account)

    def agent_of(self, claimed: ClaimedRun) -> AgentSpec | None:
        """The agent of a run that was taken from the line; None when its file is gone."""
        try:
            return self._catalog.resolve(claimed.agent_name)[0]
        except InvalidRequestError:
            return None

    def _account(
        self,
        assignment: Assignment,
        spec: AgentSpec | None,
        earlier: Usage = NOTHING_USED,
        seconds: float = 0.0,
    ) -> RunAccount:
        caps, currency = self._caps.lowered(assignment.caps), self._bench.models.currency
        if spec is not None:
            own = RunCaps(max_steps=spec.max_steps, max_tool_calls=spec.max_tool_calls)
            caps = caps.lowered(own)
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
