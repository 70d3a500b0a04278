"""What the stores must do with runs, one step after the other, in memory and without SQL."""

from dataclasses import dataclass, field

from state.errors import (
    CancelledRunError,
    ConversationBusyError,
    LostAttemptError,
    OrchestratorError,
    RequestKeyReusedError,
    SameRequestError,
)
from state.models import Attempt, NewRun, RunId

MOST_LOSSES = 2
ENDED = frozenset({"succeeded", "failed", "cancelled", "expired"})
OWNED = frozenset({"running", "cancelling"})

Refusal = type[OrchestratorError] | None


@dataclass(slots=True)
class OracleRun:
    """As its row and its log must be; `log` says of each record whether it ends it."""

    run: NewRun
    order: int
    state: str
    attempt: int = 0
    tries: int = 0
    deferrals: int = 0
    losses: int = 0
    holder: int | None = None
    log: list[bool] = field(default_factory=lambda: [False])

    @property
    def holds(self) -> bool:
        """Whether no other run of its conversation may begin."""
        if self.state == "queued":
            return self.attempt > 0
        return self.state in OWNED or self.state == "waiting_for_permission"

    def begin(self, worker: int) -> None:
        self.state, self.holder = "running", worker
        self.attempt += 1
        self.tries += 1

    def put_back(self) -> None:
        self.state, self.holder = "queued", None

    def end(self, state: str) -> None:
        self.state, self.holder = state, None
        self.log.append(True)

    def as_stored(self) -> tuple[object, ...]:
        return (self.state, self.attempt, self.tries, self.deferrals, self.losses, self.log)


class Oracle:
    """Every method changes what must change, and says what must be raised, if anything."""

    def __init__(self) -> None:
        self.runs: dict[RunId, OracleRun] = {}

    def _refusal(self, run: NewRun) -> Refusal:
        if run.key is None:
            return None
        for other in self.runs.values():
            key = other.run.key
            never_begun = other.attempt == 0 and other.state in ENDED
            if key is not None and key.request_id == run.key.request_id and not never_begun:
                return SameRequestError if key.digest == run.key.digest else RequestKeyReusedError
        return None

    def join(self, run: NewRun) -> Refusal:
        if refusal := self._refusal(run):
            return refusal
        self.runs[run.run_id] = OracleRun(run, len(self.runs), "queued")
        return None

    def begin(self, run: NewRun, worker: int) -> Refusal:
        if refusal := self._refusal(run):
            return refusal
        if any(o.holds and o.run.conversation_id == run.conversation_id for o in self.runs.values()):
            return ConversationBusyError
        self.runs[run.run_id] = OracleRun(run, len(self.runs), "queued")
        self.runs[run.run_id].begin(worker)
        return None

    def next(self, *, quarantined: bool) -> OracleRun | None:
        """Who is to be claimed: by priority, then first come first served."""
        eligible = [run for run in self.runs.values() if self._is_eligible(run, quarantined)]
        return min(eligible, key=lambda run: (-run.run.priority, run.order), default=None)

    def _is_eligible(self, run: OracleRun, quarantined: bool) -> bool:
        if run.state != "queued" or (run.losses >= MOST_LOSSES) != quarantined:
            return False
        return run.attempt > 0 or not any(
            other.holds or (other.state == "queued" and other.order < run.order)
            for other in self.runs.values()
            if other is not run and other.run.conversation_id == run.run.conversation_id
        )

    def owned(self, attempt: Attempt) -> OracleRun | None:
        run = self.runs[attempt.run_id]
        return run if run.state in OWNED and run.attempt == attempt.number else None

    def append(self, attempt: Attempt) -> Refusal:
        if (run := self.owned(attempt)) is None:
            return LostAttemptError
        run.log.append(False)
        return None

    def finish(self, attempt: Attempt, state: str) -> Refusal:
        if (run := self.owned(attempt)) is None:
            return LostAttemptError
        if run.state == "cancelling" and state != "cancelled":
            return CancelledRunError
        run.end(state)
        return None

    def put_back(self, attempt: Attempt, how: str) -> Refusal:
        run = self.owned(attempt)
        if run is None or (run.state == "cancelling" and how == "requeue"):
            return LostAttemptError
        if run.state == "cancelling":
            return CancelledRunError
        run.put_back()
        run.deferrals += how == "defer"
        run.tries -= how in ("defer", "requeue")
        return None

    def reap(self, dead: int) -> None:
        for run in self.runs.values():
            if run.holder != dead:
                continue
            if run.state == "cancelling":
                run.end("cancelled")
            elif run.losses < MOST_LOSSES:
                run.put_back()
                run.losses += 1
            else:
                run.end("failed")

    def cancel(self, run: OracleRun) -> None:
        if run.state in ("queued", "waiting_for_permission"):
            run.end("cancelled")
        elif run.state == "running":
            run.state = "cancelling"
