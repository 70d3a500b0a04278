"""From an assignment to the work that a run executes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from agents.loader import AgentCatalog
from agents.runner import AgentRunner
from agents.spec import AgentSpec
from agents.turn import Emit, TurnResult
from orchestrator.assignment import Assignment
from orchestrator.execution import Work
from providers.pool.admission import Admitted
from providers.pool.choice import ClassChoice, key_of
from providers.pool.model import PooledModel
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunBudget, RunCaps
from state.errors import ConversationNotEmptyError, PreconditionViolation
from state.models import Attempt, ClaimedRun, ConversationId, NewRun, RequestKey, RunId, RunKind
from state.ports import BranchStore
from state.threads import RunThread, thread_id


@dataclass(frozen=True, slots=True)
class Plan:
    """Who answers an assignment, why, and what a permit must serve for that."""

    assignment: Assignment
    spec: AgentSpec
    routing_reason: str
    wants: str


class Workshop:
    """Knows the agents, the models and the conversations; `caps` bound every run."""

    def __init__(
        self,
        catalog: AgentCatalog,
        runner: AgentRunner,
        models: ModelPool,
        branches: BranchStore,
        caps: RunCaps,
        *,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._catalog = catalog
        self._runner = runner
        self._models = models
        self._branches = branches
        self._caps = caps
        self._new_id = new_id

    async def plan(self, assignment: Assignment) -> Plan:
        """Choose who answers.

        Raises:
            InvalidRequestError: No such agent, or no such model.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
        """
        spec, routing_reason = self._catalog.resolve(assignment.agent_type)
        choice = assignment.model or ClassChoice(spec.model_class)
        self._models.info(choice)
        await self._check_base(assignment)
        return Plan(assignment, spec, routing_reason, key_of(choice))

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
        return self._work(
            lambda: plan.spec,
            plan.assignment,
            run.run_id,
            run.conversation_id,
            admitted,
            hurries=run.key is None,
        )

    def work_again(self, assignment: Assignment, claimed: ClaimedRun, admitted: Admitted) -> Work:
        """What a run does that was taken from the line, perhaps not for the first time."""

        def spec() -> AgentSpec:
            return self._catalog.resolve(claimed.agent_name)[0]  # gone meanwhile: then the run fails

        attempt, again = claimed.attempt, claimed.attempt.number > 1
        return self._work(spec, assignment, attempt.run_id, claimed.conversation_id, admitted, again=again)

    def _work(
        self,
        spec: Callable[[], AgentSpec],
        assignment: Assignment,
        run_id: RunId,
        conversation: ConversationId,
        admitted: Admitted,
        *,
        again: bool = False,
        hurries: bool = True,
    ) -> Work:
        owner, base = assignment.owner, assignment.base_checkpoint_id
        new = not assignment.conversation_id and not base and not again

        async def work(emit: Emit, attempt: Callable[[], Awaitable[Attempt]]) -> TurnResult:
            if not hurries:
                await (
                    attempt()
                )  # the same request may be beginning elsewhere: only one of them pays for a call
            own = thread_id(owner, conversation)
            thread = RunThread(owner, run_id, own, attempt, new=new, again=again, base=base)
            if base and (source := await self._branches.find(owner, base, own)) != own:
                await self._branches.copy(await attempt(), source, base, own)
            agent = spec()
            model = PooledModel(
                self._models,
                assignment.model or ClassChoice(agent.model_class),
                admitted=admitted,
                budget=RunBudget(self._caps),
            )
            return await self._runner.run(agent, assignment.turn, thread, emit, model)

        return work

    async def _check_base(self, assignment: Assignment) -> None:
        owner, conversation = assignment.owner, assignment.conversation_id
        if not assignment.base_checkpoint_id:
            return
        own = thread_id(owner, conversation)
        source = await self._branches.find(owner, assignment.base_checkpoint_id, own)
        if conversation and source != own and not await self._branches.is_empty(own):
            must = PreconditionViolation("CONVERSATION", "conversation_id", "must be new or without a turn")
            raise ConversationNotEmptyError("the conversation has turns of its own", must)
