"""What the stores must do with questions and effects, beside `oracle`."""

from dataclasses import dataclass, field

from state.effects import EffectState
from state.errors import CancelledRunError, LostAttemptError, NotPermittedError, WrongStateError
from state.models import Attempt, RunId
from state.permissions import Answer, Decision, PermissionScope, Question
from tests.integration.tasks.oracle import ENDED, Oracle, OracleRun, Refusal


@dataclass(slots=True)
class OracleQuestion:
    """As its row must be. Whatever ends a run takes its questions with it."""

    question: Question
    run: OracleRun
    decided: str = ""
    scope: str = "once"

    @property
    def state(self) -> str:
        if self.decided:
            return self.decided
        return "cancelled" if self.run.state in ENDED else "pending"


@dataclass(slots=True)
class OracleEffect:
    """A call that was begun, and the permissions that it has rested on."""

    run_id: RunId
    rested_on: set[str] = field(default_factory=set)
    done: bool = False


class Consent:
    """Every method changes what must change, and says what must be raised or answered."""

    def __init__(self, runs: Oracle) -> None:
        self._runs = runs
        self.questions: dict[str, OracleQuestion] = {}
        self.effects: dict[str, OracleEffect] = {}

    def suspend(self, attempt: Attempt, questions: list[Question]) -> Refusal:
        run = self._runs.owned(attempt)
        if run is None:
            return LostAttemptError
        if run.state == "cancelling":
            return CancelledRunError
        run.state, run.holder = "waiting_for_permission", None
        run.tries -= 1
        run.log.append(False)
        for question in questions:
            self.questions[question.permission_id] = OracleQuestion(question, run)
        return None

    def decide(self, asked: OracleQuestion, answer: Answer) -> tuple[Refusal, bool]:
        """What is refused, and whether it is the same again."""
        wish = (
            answer.decision.value,
            answer.scope.value if answer.decision is Decision.APPROVED else asked.scope,
        )
        if (asked.state, asked.scope) == wish:
            return None, True
        if answer.decision is Decision.REVOKED:
            if asked.state != "approved" or asked.scope == PermissionScope.ONCE:
                return WrongStateError, False
        elif asked.state != "pending":
            return WrongStateError, False
        self._resolve(asked, *wish)
        return None, False

    def expire(self, asked: OracleQuestion) -> None:
        self._resolve(asked, "expired", "once")

    def _resolve(self, asked: OracleQuestion, state: str, scope: str) -> None:
        asked.decided, asked.scope = state, scope
        run = asked.run
        if run.state not in ("queued", "waiting_for_permission"):
            return
        run.log.append(False)
        pending = any(other.run is run and other.state == "pending" for other in self.questions.values())
        if run.state == "waiting_for_permission" and not pending:
            run.put_back()

    def begin(self, attempt: Attempt, call: str, asked: OracleQuestion | None) -> Refusal | EffectState:
        run = self._runs.owned(attempt)
        if run is None:
            return LostAttemptError
        if run.state == "cancelling":
            return CancelledRunError
        permission = asked.question.permission_id if asked else ""
        effect = self.effects.get(call)
        if effect is not None and (known := _known(effect, run, permission)) is not None:
            return known
        if not self._is_permitted(run, call, asked):
            return NotPermittedError
        effect = self.effects.setdefault(call, OracleEffect(attempt.run_id))
        effect.rested_on |= {permission} - {""}
        return EffectState.BEGUN

    def _is_permitted(self, run: OracleRun, call: str, asked: OracleQuestion | None) -> bool:
        if asked is not None:
            return asked.run is run and asked.question.tool_call_id == call and asked.state == "approved"
        asked_about = (q for q in self.questions.values() if q.question.tool_call_id == call)
        return all(question.run is not run for question in asked_about)

    def finish(self, attempt: Attempt, call: str) -> Refusal:
        effect = self.effects.get(call)
        if self._runs.owned(attempt) is None or effect is None or effect.run_id != attempt.run_id:
            return LostAttemptError
        effect.done = True
        return None


def _known(effect: OracleEffect, run: OracleRun, permission: str) -> Refusal | EffectState:
    """What an earlier call has left; None when a further permission may allow it again."""
    if effect.run_id != run.run.run_id:
        return NotPermittedError
    if effect.done:
        return EffectState.DONE
    return EffectState.CUT if not permission or permission in effect.rested_on else None
