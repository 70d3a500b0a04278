"""The stores of the line beside an oracle in memory: two workers, in every order that Hypothesis finds."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
)

from state.errors import OrchestratorError
from state.models import (
    Attempt,
    ConversationId,
    Joining,
    NewRun,
    Priority,
    Record,
    RequestKey,
    RunKind,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from tests.harness.runs import new_run, records
from tests.integration.tasks.oracle import ENDED, MOST_LOSSES, Oracle, OracleRun, Refusal
from tests.integration.tasks.world import World

WORKERS = st.integers(0, 1)
WANTS = "class:chat"
LEASE_SECONDS = 0.001
"""Short, so that whoever did not beat in the future is dead."""
HOUR = timedelta(hours=1)
STORED = """
SELECT run_id, state, attempt, tries, deferrals, losses, ARRAY(
    SELECT terminal FROM run_events e WHERE e.run_id = r.run_id ORDER BY sequence
) AS log FROM runs r
"""


def _new_run(conversation: int, priority: Priority, key: tuple[int, int] | None) -> NewRun:
    """0 is a conversation of its own; of the key, which, and for what."""
    run = replace(new_run(), kind=RunKind.TASK, survives=True, wants=WANTS, wait_seconds=3600.0)
    run = replace(run, priority=priority, lead_seconds=(priority - Priority.NORMAL) * 1e6)
    if conversation:
        run = replace(run, conversation_id=ConversationId(f"c{conversation}"))
    if key is not None:
        run = replace(run, key=RequestKey("StartTask", f"r{key[0]}", bytes([key[1]])))
    return run


NEW_RUNS = st.builds(
    _new_run,
    st.sampled_from([0, 1, 1, 2]),
    st.sampled_from(Priority),
    st.none() | st.tuples(st.integers(0, 2), st.integers(0, 1)),
)


def _ends(state: RunState) -> Callable[[UnattendedRun], tuple[RunOutcome, Record]]:
    def end(run: UnattendedRun) -> tuple[RunOutcome, Record]:
        return RunOutcome(state, error_reason="TEST"), Record(run.last_sequence + 1, b"end", terminal=True)

    return end


def _settle(run: UnattendedRun) -> tuple[RunOutcome, Record] | None:
    if run.state is RunState.CANCELLING:
        return _ends(RunState.CANCELLED)(run)
    return None if run.losses < MOST_LOSSES else _ends(RunState.FAILED)(run)


class Machine(RuleBasedStateMachine):
    """Each rule takes a step in both and compares what is raised; after each, all rows are compared."""

    attempts: Bundle[Attempt] = Bundle("attempts")

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._oracle = Oracle()
        self._written = 0
        world.run(world.execute("TRUNCATE runs, run_events, request_keys, outbox, replicas CASCADE"))

    def _raises(self, step: Awaitable[object], expected: Refusal) -> None:
        async def refusal() -> Refusal:
            try:
                await step
            except OrchestratorError as error:
                return type(error)
            return None

        assert self._world.run(refusal()) is expected

    def _in_state(self, *states: str) -> list[OracleRun]:
        return [run for run in self._oracle.runs.values() if run.state in states]

    @rule(runs=st.lists(NEW_RUNS, min_size=1, max_size=3), worker=WORKERS)
    def join(self, runs: list[NewRun], worker: int) -> None:
        line = self._world.workers[worker].line
        for run in runs:
            joining = Joining(0.0, 1000, 1000, run.lead_seconds)
            self._raises(line.join(run, joining, records(1), lambda _: None), self._oracle.join(run))

    @rule(target=attempts, run=NEW_RUNS, worker=WORKERS)
    def begin(self, run: NewRun, worker: int) -> Attempt | MultipleResults[Attempt]:
        expected = self._oracle.begin(run, worker)
        self._raises(self._world.workers[worker].runs.begin(run, records(1)), expected)
        return Attempt(run.owner, run.run_id, 1) if expected is None else multiple()

    @rule(target=attempts, worker=WORKERS, quarantined=st.booleans())
    def claim(self, worker: int, quarantined: bool) -> Attempt | MultipleResults[Attempt]:
        expected = self._oracle.next(quarantined=quarantined)
        line = self._world.workers[worker].line
        claimed = self._world.run(line.claim_quarantined(WANTS) if quarantined else line.claim({WANTS}))
        assert (claimed and claimed.attempt.run_id) == (expected and expected.run.run_id)
        if claimed is None or expected is None:
            return multiple()
        expected.begin(worker)
        assert claimed.last_sequence == len(expected.log)
        assert (claimed.tries, claimed.losses) == (expected.tries, expected.losses)
        return claimed.attempt

    @rule(attempt=attempts)
    def append(self, attempt: Attempt) -> None:
        sequence = len(self._oracle.runs[attempt.run_id].log) + 1
        step = self._world.events.append(attempt, records(sequence))
        self._raises(step, self._oracle.append(attempt))

    @rule(attempt=attempts, state=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED]))
    def finish(self, attempt: Attempt, state: RunState) -> None:
        self._written += 1
        sequence = len(self._oracle.runs[attempt.run_id].log) + 1
        last = [Record(sequence, f"end {self._written}".encode(), terminal=True)]
        runs, outcome = self._world.workers[0].runs, RunOutcome(state, error_reason="")
        expected = self._oracle.finish(attempt, state)
        self._raises(runs.finish(attempt, outcome, last), expected)
        if expected is None:  # whose answer is lost on its way finishes again
            self._raises(runs.finish(attempt, outcome, last), None)

    @rule(attempt=attempts, how=st.sampled_from(["requeue", "defer", "retry"]))
    def put_back(self, attempt: Attempt, how: str) -> None:
        runs = self._world.workers[0].runs
        expected = self._oracle.put_back(attempt, how)
        if how == "requeue":
            self._raises(runs.requeue(attempt), expected)
        else:
            self._raises((runs.defer if how == "defer" else runs.retry)(attempt, 0.0), expected)

    @rule(dead=WORKERS)
    def reap(self, dead: int) -> None:
        """One is silent for too long, and the other one notices."""
        workers = self._world.workers
        for worker, shift in ((dead, -HOUR), (1 - dead, HOUR)):
            self._world.run(workers[worker].leases.beat(LEASE_SECONDS))
            replica = UUID(workers[worker].replica_id)
            statement = "UPDATE replicas SET beat_time = now() + $2 WHERE replica_id = $1"
            self._world.run(self._world.execute(statement, replica, shift))
        held = [run.run.run_id for run in self._oracle.runs.values() if run.holder == 1 - dead]
        self._world.run(workers[1 - dead].leases.reap(LEASE_SECONDS, held, (), _settle))
        self._oracle.reap(dead)

    @precondition(lambda self: self._oracle.runs)
    @rule(data=st.data(), worker=WORKERS)
    def cancel(self, data: st.DataObject, worker: int) -> None:
        run = data.draw(st.sampled_from(list(self._oracle.runs.values())))
        cancel = self._world.workers[worker].runs.cancel
        self._raises(cancel(run.run.owner, run.run.run_id, _ends(RunState.CANCELLED)), None)
        self._oracle.cancel(run)

    @precondition(lambda self: any(run.attempt == 0 for run in self._in_state("queued")))
    @rule(data=st.data(), worker=WORKERS)
    def expire(self, data: st.DataObject, worker: int) -> None:
        """Its time in line is over before it has begun."""
        waiting = [run for run in self._in_state("queued") if run.attempt == 0]
        run = data.draw(st.sampled_from(waiting))
        statement = "UPDATE runs SET wait_until = now() - interval '1 second' WHERE run_id = $1"
        self._world.run(self._world.execute(statement, UUID(run.run.run_id)))
        self._world.run(self._world.workers[worker].line.end_overdue(_ends(RunState.EXPIRED)))
        run.end("expired")

    @invariant()
    def rows_are_as_the_oracle_says(self) -> None:
        rows = self._world.run(self._world.fetch(STORED))
        stored = {row["run_id"].hex: tuple(row)[1:] for row in rows}
        assert stored == {run_id: run.as_stored() for run_id, run in self._oracle.runs.items()}

    @invariant()
    def a_log_ends_when_its_run_does(self) -> None:
        for run in self._oracle.runs.values():
            assert run.log.count(True) == (run.state in ENDED)
