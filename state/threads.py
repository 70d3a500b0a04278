"""How a conversation is named to LangGraph, and what a checkpoint write must prove."""

import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from state.errors import OrchestratorError, Reason
from state.models import Attempt, ConversationId, Owner, RunId, ThreadId

RUN_THREAD_KEY = "__run_thread"
"""Where `configurable` holds the run's `RunThread`; the dunder keeps it out of stored metadata."""


class StaleThreadError(OrchestratorError):
    """The conversation went on without this run: its turn stands on an older state, and was not written."""

    reason = Reason.WORKER_LOST
    default_retry_after = 0.0


def thread_id(owner: Owner, conversation_id: ConversationId) -> ThreadId:
    """base64url(sha256(length-prefixed owner, conversation)), 43 characters.

    The prefixes keep ("ab", "c") and ("a", "bc") apart.
    """
    digest = hashlib.sha256()
    for part in (owner.encode(), conversation_id.encode()):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return ThreadId(base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode())


@dataclass(slots=True)
class RunThread:
    """One run's hold on a conversation's thread, and the last checkpoint written through it.

    `attempt` gives the right to write once the run is committed: the model is called before that. `new`: the
    conversation's name was made up for this run, so there is nothing to read. `again`: an earlier attempt of
    the run may have come far. `goes_on_from`: the run whose unfinished turn is to be taken over, should it
    still be the newest. `base` is the checkpoint to go on from, if not the newest. While the turn is
    not `complete` nothing is written, so that it is kept whole or not at all. `branches` holds what was read
    by its id, by (namespace, checkpoint id): the position of the namespace's newest checkpoint at that
    moment. The run may go on from there as long as that one is still the newest.
    """

    owner: Owner
    run_id: RunId
    thread_id: ThreadId
    attempt: Callable[[], Awaitable[Attempt]]
    new: bool = False
    again: bool = False
    base: str = ""
    goes_on_from: RunId | None = None
    complete: bool = True
    last_checkpoint_id: str = ""
    branches: dict[tuple[str, str | None], int] = field(default_factory=dict)
