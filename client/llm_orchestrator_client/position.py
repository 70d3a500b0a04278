"""How far a reader is in a run's log, and which events are news to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from llm_orchestrator_client.errors import UnavailableError
from llm_orchestrator_client.events import Completion, Event, Failure, StreamReset
from llm_orchestrator_client.values import ResetReason


@dataclass
class Position:
    """`sequence`: the last one read. `accepted`: a server has begun, or found, the run.

    `end`: the event that was the last.
    """

    run_id: str = ""
    conversation_id: str = ""
    sequence: int = 0
    accepted: bool = False
    end: Completion | Failure | None = None

    def introduce(self, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """A call's initial metadata, which name the run."""
        named = {key: value for key, value in metadata if isinstance(value, str)}
        self.run_id = named.get("x-run-id", self.run_id)
        self.conversation_id = unquote(named.get("x-conversation-id", self.conversation_id))
        self.accepted = self.accepted or "x-run-id" in named

    def takes(self, event: Event) -> bool:
        """Whether an event is new, and from then on the last one read.

        Raises:
            UnavailableError: Something is missing before it: this call is of no use any more.
        """
        self.accepted = True
        self.run_id = event.run_id or self.run_id
        if event.sequence and event.sequence <= self.sequence:
            return False
        if event.sequence > self.sequence + 1:
            raise UnavailableError(f"the stream has a gap after {self.sequence}", reason="STREAM_GAP")
        if event.sequence:
            self.sequence = event.sequence
        elif isinstance(event, StreamReset) and event.reason is ResetReason.PRUNED:
            self.sequence = max(self.sequence, event.from_sequence - 1)
        if isinstance(event, Completion | Failure):
            self.end = event
        return True
