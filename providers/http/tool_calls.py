"""Tool calls on their way: fragments gathered into whole ones, and their ids in requests."""

import hashlib
import re
import uuid

from providers.base import ToolCallDelta
from providers.http.sse import BrokenStreamError
from state.models import ToolCall

MAX_CALLS = 128
MAX_ARGUMENT_CHARACTERS = 1 << 20
_NO_ARGUMENTS = "{}"
_PORTABLE = re.compile(r"[A-Za-z0-9_-]{1,40}")


class _Partial:
    __slots__ = ("call_id", "fragments", "name", "size")

    def __init__(self, call_id: str, name: str) -> None:
        self.call_id = call_id
        self.name = name
        self.fragments: list[str] = []
        self.size = 0

    def whole(self) -> ToolCallDelta:
        if not self.name:
            raise BrokenStreamError("sent a tool call without a name")
        # A tool without parameters is called with no fragment at all.
        arguments = "".join(self.fragments).strip() or _NO_ARGUMENTS
        return ToolCallDelta(ToolCall(self.call_id or new_call_id(), self.name, arguments))


class PartialCalls:
    """The tool calls of one answer, by the provider's own key."""

    __slots__ = ("_last", "_open")

    def __init__(self) -> None:
        self._open: list[_Partial] = []
        self._last: dict[object, _Partial] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, key: object, call_id: str, name: str) -> None:
        """Raises: BrokenStreamError: So many calls are no answer."""
        if len(self._open) >= MAX_CALLS:
            raise BrokenStreamError("asked for too many tool calls")
        self._last[key] = partial = _Partial(call_id, name)
        self._open.append(partial)

    def begins(self, key: object, call_id: str) -> bool:
        """Whether a fragment is the first of a call. Some servers give all calls of an answer one key."""
        known = self._last.get(key)
        return known is None or bool(call_id and known.call_id and known.call_id != call_id)

    def add(self, key: object, fragment: str) -> None:
        """Raises: BrokenStreamError: No call has that key, or its arguments are too long."""
        partial = self._last.get(key)
        if partial is None:
            raise BrokenStreamError("sent a piece of a tool call that never began")
        partial.size += len(fragment)
        if partial.size > MAX_ARGUMENT_CHARACTERS:
            raise BrokenStreamError("sent a tool call that is too long")
        partial.fragments.append(fragment)

    def take(self, *, cut_short: bool = False) -> list[ToolCallDelta]:
        """All calls, in their order. When the limit of tokens cut the answer, the last one is not whole."""
        calls, self._open, self._last = self._open[: -1 if cut_short else None], [], {}
        return [call.whole() for call in calls]


def new_call_id() -> str:
    """For providers that give none: an answer to a call has to name it."""
    return f"call_{uuid.uuid4().hex}"


def portable_id(call_id: str) -> str:
    """An id that every provider takes; the ids of one may be too long or too odd for another."""
    if _PORTABLE.fullmatch(call_id):
        return call_id
    return f"call_{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"
