"""Stored checkpoints may build no Python object of their choice: LangGraph has to know before it is imported."""

import os
import sys

VARIABLE = "LANGGRAPH_STRICT_MSGPACK"
_ON = ("1", "true", "yes")
_READ_BY = "langgraph.checkpoint.serde._msgpack"


class StrictMsgpackError(Exception):
    """LangGraph would run constructors that it finds in stored bytes; the message says how to mend it."""


def force_strict_msgpack() -> None:
    """Set LANGGRAPH_STRICT_MSGPACK for this process and its children.

    Raises:
        StrictMsgpackError: It is set to something else, or LangGraph has read it already.
    """
    value = os.environ.get(VARIABLE, "")
    if value and value.lower() not in _ON:
        raise StrictMsgpackError(
            f"{VARIABLE}={value} lets whoever can write a checkpoint run code here: unset it or set it to true"
        )
    reader = sys.modules.get(_READ_BY)
    read_as_on = getattr(reader, "STRICT_MSGPACK_ENABLED", bool(value))
    if not read_as_on and any(name.partition(".")[0] == "langgraph" for name in sys.modules):
        raise StrictMsgpackError(f"langgraph was imported before {VARIABLE} was set: force it first")
    os.environ[VARIABLE] = "true"
