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
from providers.pool.account import RunAccount
from providers.pool.admission import Admitted
from providers.pool.choice import ClassChoice, key_of
from providers.pool.model import PooledModel
from providers.pool.needs import Needs
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunCaps
from state.errors import (
    ConversationNotEmptyError,
    FieldViolation,
    InvalidRequestError,
    PreconditionViolation,
)
from state.models import Attempt, ClaimedRun, ConversationId, NewRun, RequestKey, RunId, RunKind
from state.ports import BranchStore
from state.threads import RunThread, thread_id
from state.usage import NOTHING_USED, Usage


@dataclass(frozen=True, slots=True)
class Plan:
    """Who answers an assignment, why, and what a permit must serve for that."""

    assignment: Assignment
    spec: AgentSpec
    routing_reason: str
    wants: str


@dataclass(frozen=True, slots=True)
class AccountedWork:
    """The work of a run, and what all its attempts have used."""

    act: Callable[[Emit, Callable[[], Awaitable[Attempt]]], Awaitable[TurnResult]]
    account: RunAccount

    @property
    def usage(self) -> Usage:
        return self.account.usage

    def __call__(self, emit: Emit, attempt: Callable[[], Awaitable[Attempt]]) -> Awaitable[TurnResult]:
        return self.act(emit, attempt)


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
            InvalidRequestError: No such agent, no such model or none that sees images, or another currency.
            NotFoundError: No such checkpoint to go on from.
            ConversationNotEmptyError: The checkpoint is another conversation's, and this one has turns.
        """
        spec, routing_reason = self._catalog.resolve(assignment.agent_type)
        choice = assignment.model or ClassChoice(spec.model_class)
        models, images = self._models.infos(choice), bool(assignment.turn.images)
        if images and not any(info.images for info in models):
            what = "none of the models that may answer sees images"
            raise InvalidRequestError(FieldViolation("attachments", what))
        if assignment.currency not in ("", self._models.currency):
            only = f"costs are counted in {self._models.currency} here"
            raise InvalidRequestError(FieldViolation("limits.currency", only))
        await self._check_base(assignment)
        return Plan(assignment, spec, routing_reason, key_of(choice, images=images))

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
            admitted,
            self._account(plan.assignment),
            run_id=run.run_id,
            conversation=run.conversation_id,
            hurries=run.key is None,
        )

    def work_again(self, assignment: Assignment, claimed: ClaimedRun, admitted: Admitted) -> Work:
        """What a run does that was taken from the line, perhaps not for the first time."""

        def spec() -> AgentSpec:
            return self._catalog.resolve(claimed.agent_name)[0]  # gone meanwhile: then the run fails

        return self._work(
            spec,
            assignment,
            admitted,
            self._account(assignment, claimed.usage, claimed.running_seconds),
            run_id=claimed.attempt.run_id,
            conversation=claimed.conversation_id,
            again=claimed.attempt.number > 1,
        )

    def _account(
        self, assignment: Assignment, earlier: Usage = NOTHING_USED, seconds: float = 0.0
    ) -> RunAccount:
        caps, currency = self._caps.lowered(assignment.caps), self._models.currency
        return RunAccount(caps, currency=currency, earlier=earlier, running_seconds=seconds)

    def _work(
        self,
        spec: Callable[[], AgentSpec],
        assignment: Assignment,
        admitted: Admitted,
        account: RunAccount,
        *,
        run_id: RunId,
        conversation: ConversationId,
        again: bool = False,
        hurries: bool = True,
    ) -> Work:
        owner, base = assignment.owner, assignment.base_checkpoint_id
        new = not assignment.conversation_id and not base and not again

        async def work(emit: Emit, attempt: Callable[[], Awaitable[Attempt]]) -> TurnResult:
            if not hurries:
                # The same request may be beginning elsewhere: only one of them pays for a call.
                await attempt()
            own = thread_id(owner, conversation)
            thread = RunThread(owner, run_id, own, attempt, new=new, again=again, base=base)
            if base and (source := await self._branches.find(owner, base, own)) != own:
                await self._branches.copy(await attempt(), source, base, own)
            agent = spec()
            model = PooledModel(
                self._models,
                assignment.model or ClassChoice(agent.model_class),
                admitted=admitted,
                budget=account.budget,
                needs=Needs(images=bool(assignment.turn.images)),
            )
            result = await self._runner.run(
                agent, assignment.turn, thread, emit, model=model, usage=lambda: account.usage
            )
            account.remembered(result.usage)
            return result

        return AccountedWork(work, account)

    async def _check_base(self, assignment: Assignment) -> None:
        owner, conversation = assignment.owner, assignment.conversation_id
        if not assignment.base_checkpoint_id:
            return
        own = thread_id(owner, conversation)
        source = await self._branches.find(owner, assignment.base_checkpoint_id, own)
        if conversation and source != own and not await self._branches.is_empty(own):
            must = PreconditionViolation("CONVERSATION", "conversation_id", "must be new or without a turn")
            raise ConversationNotEmptyError("the conversation has turns of its own", must)
