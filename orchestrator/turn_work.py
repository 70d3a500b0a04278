"""What a run does: the tools are fetched, the agent answers with them, and what it used is accounted for."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agents.aside import Craft
from agents.calls import ToolUser
from agents.classifier import classify
from agents.hands import Hands, Journal
from agents.judge import Consent, Judge
from agents.router import Routed, Undecided
from agents.runner import AgentRunner, Means
from agents.spec import AgentSpec
from agents.turn import TurnResult, TurnSuspended
from orchestrator.assignment import Assignment
from orchestrator.beside import aside_of
from orchestrator.choosing import CLASSIFIER, Chosen, chosen_of, wants_of
from orchestrator.events import RunEvent
from orchestrator.handing_on import HandingOn, RemoteSupplier
from providers.base import ChatModel
from providers.pool.account import RunAccount
from providers.pool.admission import Admitted
from providers.pool.choice import ClassChoice
from providers.pool.model import PooledModel
from providers.pool.needs import Needs
from providers.pool.pool import ModelPool
from state.errors import CancelledRunError
from state.models import Attempt, ConversationId, Owner, RunId, RunState
from state.ports import BranchStore, RunStore
from state.threads import RunThread, thread_id
from state.usage import Usage
from tools.base import Offer
from tools.policy import Verdict


class ToolSupplier(Protocol):
    """Where tools come from."""

    async def offered(
        self, owner: Owner, wanted: Sequence[str], allowed: Sequence[str] = ()
    ) -> Mapping[str, Offer]: ...


@dataclass(frozen=True, slots=True)
class Workbench:
    """What every run is executed with. `operator` are the server's own rules for tools, by name."""

    runner: AgentRunner
    models: ModelPool
    branches: BranchStore
    runs: RunStore
    tools: ToolSupplier
    consent: Consent
    journal: Journal
    remotes: RemoteSupplier
    operator: Mapping[str, Verdict] = field(default_factory=dict)
    craft: Craft = field(default_factory=Craft)


@dataclass(frozen=True, slots=True)
class Job:
    """One run. `chosen` says who answers, or who may; `again`: an earlier attempt may have come far.

    `goes_on_from`: the run whose unfinished turn it takes over. `hurries`: the model is called before the run
    is committed. `texts_shown` as in `Means`.
    """

    assignment: Assignment
    run_id: RunId
    conversation: ConversationId
    chosen: Callable[[], Awaitable[Chosen | Routed | Undecided]]
    again: bool = False
    goes_on_from: RunId | None = None
    hurries: bool = True
    texts_shown: int = 0


class TurnWork:
    """Executes a job once. `admitted` goes to its first model call."""

    def __init__(self, bench: Workbench, job: Job, admitted: Admitted, account: RunAccount) -> None:
        self._bench = bench
        self._job = job
        self._admitted = admitted
        self._account = account
        self._chosen: Chosen | None = None
        self._elsewhere = HandingOn(bench.remotes, job.assignment, job.run_id, job.conversation)

    @property
    def about(self) -> Mapping[str, str]:
        """What the end of the run says of who answered."""
        return self._chosen.about(self._job.assignment) if self._chosen else {}

    @property
    def usage(self) -> Usage:
        """What the run has used until now, in all its attempts."""
        return self._account.usage

    async def __call__(
        self,
        emit: Callable[[RunEvent], None],
        attempt: Callable[[], Awaitable[Attempt]],
        pace: Callable[[], float],
    ) -> TurnResult | TurnSuspended:
        job, assignment = self._job, self._job.assignment
        if not job.hurries:
            # The same request may be beginning elsewhere: only one of them pays for a call.
            await attempt()
        spec = await self._agent(emit, attempt)
        thread = await self._thread(attempt)
        offers = await self._offers(spec)
        user = self._user(spec, attempt)
        budget = self._account.budget
        own = ClassChoice(spec.model_class)
        aside = aside_of(self._bench.models, self._bench.craft, assignment.model, own, budget)
        means = Means(
            model=self._model(spec, tools=spec.offers_tools and bool(offers)),
            judge=Judge(user, offers, self._bench.consent, emit),
            hands=Hands(user, offers, self._bench.journal, emit, budget.tool_wanted),
            aside=aside,
            usage=lambda: self._account.usage,
            go_on=self._go_on,
            near=budget.near,
            pace=pace,
            texts_shown=job.texts_shown,
            ends_at=budget.ends_at if math.isfinite(budget.ends_at) else None,
        )
        currency, account = self._bench.models.currency, self._account.elsewhere
        begun = self._elsewhere.begun(spec, self._admitted, currency, account)
        async with aside, begun as elsewhere:
            means = replace(means, elsewhere=elsewhere)
            result = await self._bench.runner.run(spec, assignment.turn, thread, emit, means)
        self._account.remembered(result.usage)
        return result

    def _user(self, spec: AgentSpec, attempt: Callable[[], Awaitable[Attempt]]) -> ToolUser:
        job, assignment = self._job, self._job.assignment
        return ToolUser(
            owner=assignment.owner,
            run_id=job.run_id,
            conversation_id=job.conversation,
            attempt=attempt,
            query=assignment.turn.question,
            overrides=spec.permissions,
            operator=self._bench.operator,
            grants=assignment.grants,
            deadline=assignment.turn.deadline,
            request_id=assignment.request_id or job.run_id,
            time_zone=assignment.turn.persona.timezone,
        )

    async def ended(self) -> None:
        """As `Work.ended`."""
        await self._elsewhere.ended()

    async def _agent(
        self, emit: Callable[[RunEvent], None], attempt: Callable[[], Awaitable[Attempt]]
    ) -> AgentSpec:
        """Who answers. Where that turns out only now, it is written down before anything is done."""
        assignment, found = self._job.assignment, await self._job.chosen()
        if isinstance(found, Undecided):
            found = await classify(self._classifier(), found, assignment.turn)
        if isinstance(found, Routed):
            chosen = chosen_of(assignment, found)
            wants = wants_of(assignment, chosen.spec)
            await self._bench.runs.choose(await attempt(), chosen.spec.name, chosen.route, wants)
            emit(chosen.event)
        else:
            chosen = found
        self._chosen = chosen
        self._account.budget.lower(chosen.caps)
        return chosen.spec

    def _classifier(self) -> ChatModel:
        return PooledModel(
            self._bench.models,
            CLASSIFIER,
            admitted=self._admitted,
            budget=self._account.budget,
        )

    async def _thread(self, attempt: Callable[[], Awaitable[Attempt]]) -> RunThread:
        """The conversation's, begun with a copy where the turn branches from another one's checkpoint."""
        job, branches = self._job, self._bench.branches
        owner, base = job.assignment.owner, job.assignment.base_checkpoint_id
        own = thread_id(owner, job.conversation)
        if base and (source := await branches.find(owner, base, own)) != own:
            await branches.copy(await attempt(), source, base, own)
        new = not job.assignment.conversation_id and not base and not job.again
        return RunThread(
            owner,
            job.run_id,
            own,
            attempt,
            new=new,
            again=job.again,
            base=base,
            goes_on_from=job.goes_on_from,
        )

    async def _offers(self, spec: AgentSpec) -> Mapping[str, Offer]:
        assignment = self._job.assignment
        if not spec.tools:
            return {}
        return await self._bench.tools.offered(assignment.owner, spec.tools, assignment.allowed_tools)

    def _model(self, spec: AgentSpec, *, tools: bool) -> ChatModel:
        assignment = self._job.assignment
        return PooledModel(
            self._bench.models,
            assignment.model or ClassChoice(spec.model_class),
            admitted=self._admitted,
            budget=self._account.budget,
            needs=Needs(images=bool(assignment.turn.images), tools=tools),
        )

    async def _go_on(self) -> None:
        """Return unless the run is to end between two steps."""
        run = await self._bench.runs.get(self._job.assignment.owner, self._job.run_id)
        if run.state is RunState.CANCELLING:
            raise CancelledRunError("the run was cancelled")
