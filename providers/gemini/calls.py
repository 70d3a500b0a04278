"""What Gemini has to be told again about a tool call, kept in the call's id."""

import uuid
from dataclasses import dataclass

_SEPARATOR = "|"
NO_SIGNATURE = "skip_thought_signature_validator"
"""What the API takes in place of a signature, for calls that have none because another model made them."""


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """The vendor's own id of a call, mostly empty, and the signature of the thoughts that led to it.

    Gemini 3 refuses a conversation in which a call comes without its signature, and takes only its own.
    """

    vendor_id: str = ""
    signature: str = ""


def new_call_id(vendor_id: str, model: str, signature: str) -> str:
    """An id that no other call has."""
    return _SEPARATOR.join((vendor_id, model, signature, uuid.uuid4().hex))


def origin_of(call_id: str, model: str) -> CallOrigin:
    """What an id says to `model`; nothing when another model gave it."""
    parts = call_id.split(_SEPARATOR)
    if len(parts) != len(("id", "model", "signature", "nonce")) or parts[1] != model:
        return CallOrigin()
    return CallOrigin(parts[0], parts[2])
