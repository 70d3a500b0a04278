"""The condition every write of a run carries: its attempt still owns it."""

from uuid import UUID

from state.errors import LostAttemptError, NotFoundError
from state.models import Attempt, RunId
from state.violations import Resource

# FOR SHARE: whoever takes the run away has to wait until this write has committed, and whoever comes after
# the taking finds no row. Without it both could commit, the stale one last.
FENCE = """
fence AS (
    SELECT owner, state AS fenced_state FROM runs
    WHERE run_id = $1 AND owner = $2 AND attempt = $3 AND state IN ('running', 'cancelling')
    FOR SHARE
)
"""


def fence_arguments(attempt: Attempt) -> tuple[UUID, str, int]:
    """The parameters $1 to $3 of FENCE."""
    return UUID(attempt.run_id), attempt.owner, attempt.number


def lost(attempt: Attempt) -> LostAttemptError:
    return LostAttemptError(f"attempt {attempt.number} does not own the run any more")


def parse_run_id(run_id: RunId) -> UUID:
    """Raises NotFoundError for text that can be no run's id."""
    try:
        return UUID(run_id)
    except ValueError as error:
        raise NotFoundError("no such run", Resource("run", run_id)) from error
