"""What the scripted provider knows: its scripts, its limits and its ledger."""

import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.fakes.scripted_provider.ledger import Ledger
from tests.fakes.scripted_provider.script import Script


class State:
    """`capacity`: calls beyond so many in flight get a 429; None is unlimited."""

    def __init__(self, *, default: Script, capacity: int | None, api_key: str | None) -> None:
        self.api_key = api_key
        self.ledger = Ledger()
        self.scripts: deque[Script] = deque()
        self.default = self._first_default = default
        self.capacity = self._first_capacity = capacity
        self.answering: Callable[[Any], Script] | None = None

    def reset(self) -> None:
        """Forget scripts and calls, abort calls in flight, go back to what it was made with."""
        self.ledger.abort_open_calls()
        self.ledger = Ledger()
        self.scripts.clear()
        self.default = self._first_default
        self.capacity = self._first_capacity
        self.answering = None

    @property
    def full(self) -> bool:
        return self.capacity is not None and self.ledger.in_flight >= self.capacity

    def next_script(self, body: Any) -> Script:
        if self.scripts:
            return self.scripts.popleft()
        return self.default if self.answering is None else self.answering(body)

    def release(self, number: int | None = None) -> None:
        """Release one held call, or all that have arrived."""
        for call in self.ledger.calls:
            if number in (None, call.number):
                call.release()

    @staticmethod
    def new_generation_id() -> str:
        return f"chatcmpl-{uuid.uuid4().hex}"
