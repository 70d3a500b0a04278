"""One answer while it arrives as an event stream; a vendor's adapter says what its events mean."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from providers.base import Delta, TokenCount
from providers.http.sse import BrokenStreamError, EventParser
from state.models import FinishReason

Event = dict[str, Any]

_NAME_CHARACTERS = 256
_MOST_TOKENS = 10**12
"""Sums of such counts are kept in 64 bits: one that does not fit would let no run end."""


class Answer(ABC):
    """What has arrived so far.

    `done`: the provider said that nothing follows. `finish_reason` is set when the answer is complete; only
    the token count may still follow. `gathered` counts the pieces of tool calls, which become deltas later.
    """

    __slots__ = ("_events", "done", "finish_reason", "gathered", "generation_id", "model")

    def __init__(self, model: str) -> None:
        self.done = False
        self.finish_reason: FinishReason | None = None
        self.gathered = 0
        self.generation_id = ""
        self.model = model
        self._events = EventParser()

    @property
    def complete(self) -> bool:
        return self.done or self.finish_reason is not None

    def feed(self, received: bytes) -> Iterable[Delta]:
        """What `received` adds.

        Raises:
            BrokenStreamError: After the deltas before it.
        """
        data = self._events.whole(received)
        if data is None:
            return self._read_each(received)
        return self._read(data) if data else ()

    def _read_each(self, received: bytes) -> Iterator[Delta]:
        for data in self._events.feed(received):
            if data:
                yield from self._read(data)
                if self.done:
                    return

    @abstractmethod
    def tokens(self) -> TokenCount | None:
        """None when the provider reported none, or nothing usable."""

    @abstractmethod
    def _read(self, data: bytes) -> Sequence[Delta]:
        """What one event adds. Raises: BrokenStreamError."""

    def _identify(self, generation_id: object, model: object) -> None:
        if isinstance(generation_id, str):
            self.generation_id = _name(generation_id)
        if isinstance(model, str) and model:
            self.model = _name(model)


def _name(told: str) -> str:
    # Usage is kept by these names, in JSON that takes no NUL: with one no run would end.
    return told.replace("\0", "")[:_NAME_CHARACTERS]


def decode(data: bytes) -> Event:
    """The JSON object of an event. Raises: BrokenStreamError: It is none."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BrokenStreamError("sent an event that is not JSON") from error
    return as_object(event)


def as_object(value: object) -> Event:
    """Raises: BrokenStreamError: It is none."""
    if not isinstance(value, dict):
        raise unknown_form()
    return value


def as_text(value: object) -> str:
    """Raises: BrokenStreamError: It is none."""
    if not isinstance(value, str):
        raise unknown_form()
    return value


def as_list(value: object) -> list[object]:
    """Raises: BrokenStreamError: It is none."""
    if not isinstance(value, list):
        raise unknown_form()
    return value


def unknown_form() -> BrokenStreamError:
    return BrokenStreamError("sent a chunk of an unknown form")


def count_of(values: object, name: str) -> int | None:
    """A count in a usage report, None when it is none, or too large to be one."""
    value = values.get(name) if isinstance(values, dict) else None
    return value if isinstance(value, int) and 0 <= value <= _MOST_TOKENS else None
