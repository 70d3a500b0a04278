"""What the scripted provider needs of a vendor's protocol."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tests.fakes.scripted_provider.pieces import Piece
from tests.fakes.scripted_provider.script import Script


class RefusedRequestError(Exception):
    """The request is wrong; `param` names the wrong part of it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Event(NamedTuple):
    """One server-sent event."""

    data: bytes
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `path_model`: the model, where the path names it."""

    body: Any
    headers: Mapping[str, str]
    query: Mapping[str, str]
    path_model: str = ""


class VendorAnswer(Protocol):
    """One scripted answer in the vendor's events, to be asked for in their order."""

    @property
    def pieces(self) -> Sequence[Piece]: ...

    def opening(self) -> Iterable[Event]: ...

    def events_of(self, piece: Piece) -> Iterable[Event]: ...

    def ending(self, *, done: bool) -> Iterable[Event]:
        """`done`: with the mark that nothing follows, if the vendor has one."""
        ...

    def failure(self, *, overloaded: bool) -> Iterable[Event]:
        """An error inside the stream."""
        ...

    def whole(self) -> bytes:
        """The answer to who asked for no stream."""
        ...


class Vendor(Protocol):
    """One vendor's requests and answers."""

    path: str
    unknown_path: str

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The API key of a request."""
        ...

    def check(self, asked: Asked) -> None:
        """Raises: RefusedRequestError: The real API would answer 400."""
        ...

    def streams(self, asked: Asked) -> bool: ...

    def answer(self, script: Script, asked: Asked, generation_id: str) -> VendorAnswer: ...

    def error(self, status: int, message: str, *, param: str | None = None) -> bytes:
        """The body of an error."""
        ...
