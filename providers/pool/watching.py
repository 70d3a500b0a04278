"""What watches calls of models; telemetry implements it."""

from collections.abc import Callable
from typing import Protocol


class CallWatch(Protocol):
    """One call. `error` is empty where the answer came whole, `tokens` None where nothing is charged."""

    @property
    def traceparent(self) -> str: ...
    def first_piece(self) -> None: ...
    def ended(self, error: str, tokens: tuple[int, int] | None, finish_reason: str = "") -> None: ...


class CallObserver(Protocol):
    """Is told of every call that is made. `prompt` is what the model is asked, as text."""

    def called(self, provider: str, model: str, prompt: Callable[[], str]) -> CallWatch: ...


class Unwatched:
    """Nobody watches."""

    traceparent = ""

    def called(self, provider: str, model: str, prompt: Callable[[], str]) -> "Unwatched":
        del provider, model, prompt
        return self

    def first_piece(self) -> None: ...
    def ended(self, error: str, tokens: tuple[int, int] | None, finish_reason: str = "") -> None: ...
