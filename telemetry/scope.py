"""What the code that runs now is about: its trace, run, request and user, for logs and for calls of others.

The scope follows tasks as context variables do: a task begins with that of who began it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Scope:
    """`traceparent` as in W3C Trace Context, empty while tracing is off. `user` is as callers know it."""

    traceparent: str = ""
    request_id: str = ""
    run_id: str = ""
    user: str = ""

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]


_SCOPE: ContextVar[Scope] = ContextVar("scope", default=Scope())  # noqa: B039 - frozen


def scope() -> Scope:
    """The scope of the code that asks."""
    return _SCOPE.get()


def enter(**changes: str) -> None:
    """Be in this scope until the task ends. What is empty stays as it was."""
    _SCOPE.set(replace(_SCOPE.get(), **{name: value for name, value in changes.items() if value}))


@contextmanager
def within(**changes: str) -> Iterator[None]:
    """Be in this scope for the length of the block, which must hold no `yield` of a generator."""
    token = _SCOPE.set(replace(_SCOPE.get(), **{name: value for name, value in changes.items() if value}))
    try:
        yield
    finally:
        _SCOPE.reset(token)
