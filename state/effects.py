"""Tool calls that change something: written down before and after, so that none is done twice."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class NewEffect:
    """A call about to be made. `digest`: SHA-256 in hex of its arguments in the form of RFC 8785.

    `permission_id` is what the call rests on; empty = policy asks nobody about it.
    """

    tool_call_id: str
    tool_name: str
    digest: str
    permission_id: str = ""


class EffectState(StrEnum):
    """`BEGUN`: it may be made now. `DONE`: it was, and is not to be repeated. `CUT`: nobody knows."""

    BEGUN = "begun"
    DONE = "done"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Effect:
    """How a call stands; `outcome` is what its caller kept of it, once it is done."""

    state: EffectState
    outcome: bytes = b""
