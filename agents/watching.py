"""What watches the tools that runs use; telemetry implements it."""

from typing import Protocol


class ToolWatch(Protocol):
    """One call; its `outcome` is ok, failed or cut."""

    @property
    def traceparent(self) -> str: ...
    def ended(self, outcome: str) -> None: ...


class ToolObserver(Protocol):
    """Is told of every call that is made, and of every wish that is refused."""

    def called(self, name: str, call_id: str) -> ToolWatch: ...
    def refused(self, name: str, reason: str) -> None: ...


class Unwatched:
    """Nobody watches."""

    traceparent = ""

    def called(self, name: str, call_id: str) -> "Unwatched":
        del name, call_id
        return self

    def refused(self, name: str, reason: str) -> None: ...
    def ended(self, outcome: str) -> None: ...
