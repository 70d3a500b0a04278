"""Sealed payloads in columns that hold text.

A text may begin with whatever a model says, so one that begins with the mark is escaped: `mark 0 text` is
that text, `mark 1 base64` a sealed one, everything else itself.
"""

from base64 import b64decode, b64encode
from binascii import Error

from state.errors import StateUnreadableError
from state.sealing import Place, Sealing, is_sealed

_MARK = "\U0010ffff"  # a code point for private use, the last there is
_ESCAPED, _SEALED = _MARK + "0", _MARK + "1"


def seal_text(sealing: Sealing, place: Place, text: str) -> str:
    """The text as it is to be stored at its place."""
    if sealing.on:
        return _SEALED + b64encode(sealing.seal(place, text.encode())).decode()
    return _ESCAPED + text if text.startswith(_MARK) else text


def open_text(sealing: Sealing, place: Place, stored: str) -> str:
    """What was sealed for this place, or stored without a key; raises as `Sealing.open`."""
    if stored.startswith(_ESCAPED):
        return stored.removeprefix(_ESCAPED)
    if not stored.startswith(_SEALED):
        return stored
    try:
        sealed = b64decode(stored.removeprefix(_SEALED), validate=True)
    except Error as error:
        raise StateUnreadableError("a sealed text is garbled") from error
    if not is_sealed(sealed):
        raise StateUnreadableError("a sealed text is garbled")
    return sealing.open(place, sealed).decode()
