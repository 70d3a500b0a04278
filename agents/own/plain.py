"""Whether a state can be kept: plain data, and the messages and documents of LangChain."""

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langgraph.types import Overwrite, Send

_VALUES = (bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID, type(None))
_SEVERAL = (list, tuple, set, frozenset, deque)
_OF_LANGCHAIN = "langchain_core."


def strange_type(value: object) -> type | None:
    """The first type in a value that would not come back as it was written; None = all of it would."""
    kind = type(value)
    if kind in _VALUES or (isinstance(value, str) and not isinstance(value, Enum)):
        return None
    if isinstance(value, BaseMessage | Document):
        return None if kind.__module__.startswith(_OF_LANGCHAIN) else kind
    if isinstance(value, Send):
        return strange_type(value.arg)
    if isinstance(value, Overwrite):
        return strange_type(value.value)
    if isinstance(value, dict) and kind is dict:
        return _first((*value.keys(), *value.values()))
    return _first(value) if isinstance(value, _SEVERAL) and kind in _SEVERAL else kind


def _first(values: Iterable[object]) -> type | None:
    return next(filter(None, map(strange_type, values)), None)
