"""What a caller's own graph raises, as errors of ours; never its text."""

import logging
import traceback
from collections.abc import Iterator

from providers.pool.run_budget import LimitReachedError
from state.errors import AgentFailedError, OrchestratorError

logger = logging.getLogger(__name__)


def translated(error: Exception, agent: str) -> Exception:
    """The error to raise instead: one of ours, that the graph's code has met and wrapped, or that it failed.

    The log says where it was raised and of which type it is. What it says may be anything, so nobody is told.
    """
    for cause in _chain(error):
        if isinstance(cause, OrchestratorError | LimitReachedError):
            return cause
    logger.error(
        "an agent's graph failed", extra={"agent": agent, "error": type(error).__name__, "at": _at(error)}
    )
    return AgentFailedError("the agent's graph failed")


def place_of(error: BaseException) -> str:
    """Type and place of an error, for an operator."""
    return f"{type(error).__name__} at {_at(error)}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    next_one: BaseException | None = error
    while next_one is not None and id(next_one) not in seen:
        seen.add(id(next_one))
        yield next_one
        next_one = next_one.__cause__ or next_one.__context__


def _at(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"
