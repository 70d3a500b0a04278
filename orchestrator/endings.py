"""How an attempt of a run has ended, as it is kept."""

import asyncio

from agents.turn import TurnResult, TurnSuspended
from orchestrator.events import RunCompleted, RunFailed
from state.errors import OrchestratorError, Reason
from state.models import RunOutcome, RunState

_FAILED_STATES = {Reason.CANCELLED: RunState.CANCELLED, Reason.DEADLINE_EXCEEDED: RunState.EXPIRED}


def outcome_of(end: RunCompleted | RunFailed) -> RunOutcome:
    """What is kept of it with the run."""
    if isinstance(end, RunCompleted):
        result = end.result
        return RunOutcome(
            RunState.SUCCEEDED, result.finish_reason, result=_storable(result.text), usage=end.usage
        )
    state = _FAILED_STATES.get(end.error.reason, RunState.FAILED)
    return RunOutcome(state, error_reason=end.error.reason, result=_storable(end.partial), usage=end.usage)


def suspended_of(agent: asyncio.Future[TurnResult | TurnSuspended]) -> TurnSuspended | None:
    """For what an agent that has ended waits, if it does."""
    result = None if agent.cancelled() or agent.exception() else agent.result()
    return result if isinstance(result, TurnSuspended) else None


def _storable(text: str) -> str:
    return text.replace("\0", "")  # Postgres keeps no NUL


def as_ours(error: BaseException | None) -> OrchestratorError:
    """An error of another kind as one that says nothing."""
    return error if isinstance(error, OrchestratorError) else OrchestratorError("internal error")
