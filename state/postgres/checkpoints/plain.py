"""Reading stored values: what they may build is written down, whatever LangGraph would rather build.

LangGraph, told to be strict, calls no constructor that it does not know; it then gives what the constructor
was to get in its place, without a word. Here such bytes are refused, as are all others that no saver writes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_METHODS, SAFE_MSGPACK_TYPES
from langgraph.checkpoint.serde.jsonplus import (
    EXT_CONSTRUCTOR_KW_ARGS,
    EXT_CONSTRUCTOR_POS_ARGS,
    EXT_CONSTRUCTOR_SINGLE_ARG,
    EXT_DELTA_SNAPSHOT,
    EXT_METHOD_SINGLE_ARG,
    EXT_NUMPY_ARRAY,
    EXT_PYDANTIC_V1,
    EXT_PYDANTIC_V2,
    JsonPlusSerializer,
)

from state.errors import StateUnreadableError

_CONSTRUCTORS = frozenset(
    {
        EXT_CONSTRUCTOR_SINGLE_ARG,
        EXT_CONSTRUCTOR_POS_ARGS,
        EXT_CONSTRUCTOR_KW_ARGS,
        EXT_PYDANTIC_V1,
        EXT_PYDANTIC_V2,
    }
)
_JSON_ENVELOPES = ("constructor", "secret", "not_implemented")
# Their `id` names the place they had in LangChain when they were written.
_MESSAGES = frozenset(name for module, name in SAFE_MSGPACK_TYPES if module.startswith("langchain_core."))

# What bytes may make a reader raise that were not written by one of the two savers.
_GARBLED = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, RecursionError)


class PlainSerializer(JsonPlusSerializer):
    """Plain data, and what LangGraph itself and LangChain's messages are made of; never a pickle.

    Loading raises ValueError, NotImplementedError or another of those that `readable` translates.
    """

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=None)
        self._build = self._unpack_ext_hook
        self._unpack_ext_hook = self._checked

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[tuple[str, ...] | type]) -> Self:
        """This one: no graph adds what stands in its schema to what stored bytes may build."""
        del extra_allowlist
        return self

    def _checked(self, code: int, data: bytes) -> object:
        _check(code, data)
        return self._build(code, data)

    def _reviver(self, value: dict[str, Any]) -> object:
        if value.get("lc") in (1, 2) and value.get("type") in _JSON_ENVELOPES and not _is_known(value):
            raise ValueError("an object of another kind than the savers write")
        return super()._reviver(value)


@contextmanager
def readable() -> Iterator[None]:
    """Raise StateUnreadableError for whatever the bytes of a row make their reader raise."""
    try:
        yield
    except _GARBLED as error:
        raise StateUnreadableError("the stored state of the conversation cannot be read") from error


def _check(code: int, data: bytes) -> None:
    """Raise ValueError unless all that these bytes name, however deep, may be built. Builds nothing."""
    inside = ormsgpack.unpackb(data, ext_hook=_check, option=ormsgpack.OPT_NON_STR_KEYS)
    if code in _CONSTRUCTORS:
        fits = (inside[0], inside[1]) in SAFE_MSGPACK_TYPES
    elif code == EXT_METHOD_SINGLE_ARG:
        fits = (inside[0], inside[1], inside[3]) in SAFE_MSGPACK_METHODS
    else:
        fits = code in (EXT_DELTA_SNAPSHOT, EXT_NUMPY_ARRAY)
    if not fits:
        raise ValueError("an object of another kind than the savers write")


def _is_known(value: Mapping[str, Any]) -> bool:
    *module, name = value.get("id") or ("",)
    if value["type"] != "constructor":
        return False
    if value["lc"] == 1:
        return name in _MESSAGES and module[:1] in (["langchain"], ["langchain_core"])
    return (".".join(module), name) in SAFE_MSGPACK_TYPES
