"""The task use case: work that is accepted at once, done when there is room, and asked about until then."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from agents.loader import UNDECIDED
from orchestrator.assignment import Assignment
from orchestrator.budgets import Budgets
from orchestrator.cancellation import Cancellation
from orchestrator.events import StatusChanged
from orchestrator.line import Line
from orchestrator.outage import OutageJournal
from orchestrator.permissions import PermissionService
from orchestrator.supervisor import RunSupervisor
from orchestrator.task import TaskCommand, TaskTimes, TaskView
from orchestrator.workshop import Plan, Workshop
from providers.pool.admission import Admitted
from state.errors import (
    ConversationBusyError,
    DatabaseUnavailableError,
    DrainingError,
    NotFoundError,
    QueueFullError,
    SameRequestError,
    WrongStateError,
)
from state.event_log import EventLog
from state.models import (
    NewRun,
    Owner,
    RequestKey,
    RunId,
    RunKind,
    RunState,
)
from state.ports import RequestKeyStore, RunStore, TaskStore
from state.tasks import TaskFilter, TaskRow
from state.violations import PreconditionViolation


class TaskService:
    """Starts tasks and answers for them. `decode` reads a kept request again.

    With a `journal` tasks are accepted while Postgres is away, and nothing else.
    """

    def __init__(
        self,
        workshop: Workshop,
        supervisor: RunSupervisor,
        log: EventLog,
        *,
        runs: RunStore,
        tasks: TaskStore,
        keys: RequestKeyStore,
        line: Line,
        cancellation: Cancellation,
        budgets: Budgets,
        permissions: PermissionService,
        decode: Callable[[RunKind, bytes], Assignment],
        times: TaskTimes,
        journal: OutageJournal | None = None,
    ) -> None:
        self._workshop = workshop
        self._supervisor = supervisor
        self._log = log
        self._runs = runs
        self._tasks = tasks
        self._keys = keys
        self._line = line
        self._cancellation = cancellation
        self._budgets = budgets
        self._permissions = permissions
        self._decode = decode
        self._times = times
        self._journal = journal

    async def start(self, command: TaskCommand) -> TaskView:
        """Commit a task: running when a provider has room for it now, else in line; or into the journal.

        Raises:
            InvalidRequestError: No such agent, or no such model.
            NotFoundError, ConversationNotEmptyError: As for a checkpoint to go on from.
            RequestKeyReusedError: The key was used for something else.
            QuotaExceededError: The user has used up the day's budget.
            QueueFullError: No provider has room, and too many wait.
            DrainingError, DatabaseUnavailableError: Nothing was begun.
        """
        return await self._once(command.assignment.owner, command.key, partial(self._begin, command))

    async def _once(
        self, owner: Owner, key: RequestKey | None, begin: Callable[[], Awaitable[TaskView]]
    ) -> TaskView:
        """What it begins, or what the same request has begun before."""
        try:
            if key is not None:
                await self._check_key(owner, key)
            return await begin()
        except SameRequestError as same:
            return replace(await self.get(owner, same.run_id), deduplicated=True)

    async def get(self, owner: Owner, run_id: RunId) -> TaskView:
        """How a run stands, of whatever kind.

        Raises:
            NotFoundError: No such run of this owner.
        """
        spooled = self._journal and await self._journal.row(owner, run_id)
        if not spooled or not self._journal:
            return await self._stored(owner, run_id)
        if not self._journal.away:
            with suppress(NotFoundError, DatabaseUnavailableError):
                return await self._stored(owner, run_id)  # drained, and not yet removed
        return TaskView(spooled, None, spooled=True)

    async def refuse_spooled(self, owner: Owner, run_id: RunId) -> None:
        """Return unless the task waits in the journal of this process.

        Raises:
            DatabaseUnavailableError: It does: until it is drained it can only be asked about.
        """
        if self._journal is not None:
            await self._journal.refuse(owner, run_id)

    async def list(
        self, owner: Owner, wanted: TaskFilter, *, after: tuple[datetime, RunId] | None, limit: int
    ) -> Sequence[TaskView]:
        """The owner's tasks, the newest first."""
        return [self._view(row) for row in await self._tasks.list(owner, wanted, after=after, limit=limit)]

    async def find(self, owner: Owner, request_id: str) -> RunId:
        """The run that a request began, by the id that the request had.

        Raises:
            NotFoundError: There is none.
        """
        spooled = self._journal and await self._journal.holder(owner, request_id)
        return spooled or await self._keys.holder(owner, request_id)

    async def cancel(self, owner: Owner, run_id: RunId, *, after_step: bool) -> TaskView:
        """Cancel a run and return how it stands, once it has ended or enough was waited for that.

        Raises:
            NotFoundError: No such run of this owner.
        """
        await self.refuse_spooled(owner, run_id)
        await self._cancellation.cancel(owner, run_id, after_step=after_step)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._times.cancel_seconds):
                await self._ended(owner, run_id)
        return await self.get(owner, run_id)

    async def retry(
        self, owner: Owner, run_id: RunId, key: RequestKey | None, *, from_start: bool
    ) -> TaskView:
        """Begin a new task that does again what this one did not: from where it stood, or `from_start`.

        Raises:
            NotFoundError: No such run of this owner.
            WrongStateError: It has not ended, it has succeeded, or its conversation has gone on without it.
            As `start`.
        """
        await self.refuse_spooled(owner, run_id)
        return await self._once(owner, key, partial(self._begin_again, owner, run_id, key, from_start))

    async def _begin_again(
        self, owner: Owner, run_id: RunId, key: RequestKey | None, from_start: bool
    ) -> TaskView:
        row = await self._tasks.get(owner, run_id)
        state = row.run.state
        if not state.is_terminal or state is RunState.SUCCEEDED:
            must = PreconditionViolation("TASK", run_id, "must have failed, expired or been cancelled")
            raise WrongStateError(f"the task is {state}", must, metadata={"state": state})
        if not from_start:
            await self._check_is_newest(row)
        assignment = self._decode(row.run.kind, await self._tasks.request(owner, run_id))
        if row.run.agent_name != UNDECIDED:  # its turn may stand in the middle: only its own agent goes on
            assignment = replace(assignment, agent_type=row.run.agent_name)
        return await self._begin(
            TaskCommand(
                replace(assignment, conversation_id=row.run.conversation_id),
                key,
                row.priority,
                labels=dict(row.labels),
                retry_of=run_id,
                from_start=from_start,
            )
        )

    async def _check_is_newest(self, row: TaskRow) -> None:
        newest = await self._runs.latest(row.run.owner, row.run.conversation_id)
        if newest.run_id != row.run.run_id:
            must = PreconditionViolation("CONVERSATION", row.run.run_id, "must not have gone on since")
            raise WrongStateError("the conversation has gone on: retry from the start", must)

    async def _check_key(self, owner: Owner, key: RequestKey) -> None:
        if self._journal is None:
            await self._keys.check(owner, key)
            return
        await self._journal.check(owner, key)
        if not self._journal.away:
            try:
                await self._keys.check(owner, key)
            except DatabaseUnavailableError:
                self._journal.lost_sight()

    async def _begin(self, command: TaskCommand) -> TaskView:
        plan = await self._workshop.plan(command.assignment)
        await self._budgets.check(command.assignment.owner)
        run = self._run(command, plan)
        if self._journal is None:
            return await self._commit(plan, run)
        if self._line.draining:
            raise DrainingError("the server is stopping")
        waiting = _status(run, plan, RunState.QUEUED, "Waiting")
        try:
            view = await self._journal.begin(run, waiting, partial(self._commit, plan, run))
        except (DatabaseUnavailableError, QueueFullError):
            self._supervisor.unborn.add(run.run_id)
            raise
        return view or await self.get(run.owner, run.run_id)

    async def _commit(self, plan: Plan, run: NewRun) -> TaskView:
        for_room = False
        if run.not_before is None:
            admitted = self._line.admit(run.wants)
            if isinstance(admitted, Admitted) and (begun := await self._begun_now(plan, run, admitted)):
                return TaskView(begun, None)
            for_room = not isinstance(admitted, Admitted)
        await self._line.join(run, _status(run, plan, RunState.QUEUED, "Waiting"), for_room=for_room)
        return self._view(await self._tasks.get(run.owner, run.run_id))

    def _run(self, command: TaskCommand, plan: Plan) -> NewRun:
        run = self._workshop.run_of(
            plan,
            RunKind.TASK,
            survives=True,
            wait_seconds=command.queue_seconds or self._times.queue_seconds,
        )
        return replace(
            run,
            priority=command.priority,
            lead_seconds=self._line.lead_seconds(command.priority),
            not_before=command.not_before,
            labels=command.labels or {},
            retry_of=command.retry_of,
            from_start=command.from_start,
            key=command.key,
        )

    async def _begun_now(self, plan: Plan, run: NewRun, admitted: Admitted) -> TaskRow | None:
        """It as begun; None while another run has its conversation."""
        execution = self._supervisor.begin(
            run,
            [_status(run, plan, RunState.RUNNING, "Answering"), *plan.introduction],
            self._workshop.work(plan, run, admitted),
            waits=True,
            permission_seconds=plan.assignment.permission_seconds,
            ended=admitted.abandon,
        )
        try:
            attempt = await execution.attempt()
        except ConversationBusyError:
            return None
        except DatabaseUnavailableError:
            if self._journal is not None:
                self._supervisor.spare(run.run_id)
            raise
        assert attempt.create_time is not None
        return TaskRow.of_new(run, RunState.RUNNING, attempt.create_time)

    async def _ended(self, owner: Owner, run_id: RunId) -> None:
        row = await self._tasks.get(owner, run_id)
        after = max(0, row.run.last_sequence - 1)
        async with aclosing(self._log.read(owner, run_id, after)) as records:
            async for record in records:
                if record is not None and record.terminal:
                    return

    async def _stored(self, owner: Owner, run_id: RunId) -> TaskView:
        view = self._view(await self._tasks.get(owner, run_id))
        if view.row.run.state is not RunState.WAITING_FOR_PERMISSION:
            return view
        return replace(view, pending=await self._permissions.pending(owner, run_id))

    def _view(self, row: TaskRow) -> TaskView:
        place = self._line.places.at(row.run.wants, row.place) if row.place else None
        return TaskView(row, place.wait_seconds if place else None)


def _status(run: NewRun, plan: Plan, state: RunState, text: str) -> StatusChanged:
    metadata = {"conversation_id": run.conversation_id, "routing_reason": plan.routing_reason}
    return StatusChanged(state, text, metadata)
