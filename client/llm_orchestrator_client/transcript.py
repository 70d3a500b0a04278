"""The text of a run as a reader shows it: deltas in order, without what a reset has made void."""

from collections.abc import Callable
from dataclasses import dataclass, field

from llm_orchestrator_client.events import Completion, ContentDelta, Event, StreamReset
from llm_orchestrator_client.values import Channel


@dataclass
class Transcript:
    """Give it each event. `final_text`: the whole answer as the run's end tells it, None before."""

    final_text: str | None = None
    _deltas: list[ContentDelta] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Take an event into account; most change no text."""
        if isinstance(event, ContentDelta):
            self._deltas.append(event)
        elif isinstance(event, StreamReset):
            self._deltas = [delta for delta in self._deltas if not event.voids(delta.sequence)]
        elif isinstance(event, Completion) and event.sequence:
            self.final_text = event.final_text

    @property
    def text(self) -> str:
        """The answer so far, its messages one after another."""
        return self._joined(lambda channel: channel is not Channel.REASONING)

    @property
    def reasoning(self) -> str:
        """The model's thinking so far."""
        return self._joined(lambda channel: channel is Channel.REASONING)

    def _joined(self, wanted: Callable[[Channel], bool]) -> str:
        return "".join(delta.text for delta in self._deltas if wanted(delta.channel))
