"""Stored checkpoints may build no Python object of their choice: LangGraph must be told before its import."""

import os
import sys

VARIABLE = "LANGGRAPH_STRICT_MSGPACK"
_ON = ("1", "true", "yes")
_READ_BY = "langgraph.checkpoint.serde._msgpack"
_WRONG_SETTING = 2


def force_strict_msgpack() -> None:
    """Set LANGGRAPH_STRICT_MSGPACK for this process and its children, or end the process with a line.

    It ends when the variable is set to something else, and when LangGraph has been imported without it: it
    would run constructors that it finds in stored bytes.
    """
    value = os.environ.get(VARIABLE, "")
    if value and value.lower() not in _ON:
        _refuse(f"{VARIABLE}={value} lets whoever can write a checkpoint run code here: set it to true")
    reader = sys.modules.get(_READ_BY)
    strict = getattr(reader, "STRICT_MSGPACK_ENABLED", bool(value))
    if not strict and any(name.partition(".")[0] == "langgraph" for name in sys.modules):
        _refuse(f"langgraph was imported before {VARIABLE} was set: set it to true in the environment")
    os.environ[VARIABLE] = "true"


def _refuse(reason: str) -> None:
    print(f"llm-orchestrator: {reason}", file=sys.stderr)  # noqa: T201 - nothing else is running yet
    sys.exit(_WRONG_SETTING)
