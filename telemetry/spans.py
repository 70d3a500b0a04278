"""Spans as the rest of telemetry wants them, and none at all while tracing is off."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from telemetry.scope import within

Value = str | int | float | bool | tuple[str, ...]


class SpanKind(StrEnum):
    """Which side of a call a span is, if any."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class Span(Protocol):
    """Something that is going on. What is told after its end does not count."""

    @property
    def traceparent(self) -> str:
        """What makes others its children; empty while tracing is off."""
        ...

    def set(self, attributes: Mapping[str, Value]) -> None: ...
    def rename(self, name: str) -> None: ...
    def end(self, error: str = "") -> None:
        """`error`: the kind of what went wrong, no text."""
        ...


class Spans(Protocol):
    """Makes spans. `on`: they are kept; `content`: they may hold what models are asked."""

    @property
    def on(self) -> bool: ...
    @property
    def content(self) -> bool: ...
    def begin(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        parent: str = "",
        link: str = "",
        attributes: Mapping[str, Value] | None = None,
    ) -> Span:
        """A span below `parent`; a trace of its own where that is none."""
        ...


class NoSpan:
    """Nothing is kept of it."""

    traceparent = ""

    def set(self, attributes: Mapping[str, Value]) -> None: ...
    def rename(self, name: str) -> None: ...
    def end(self, error: str = "") -> None: ...


class NoSpans:
    """Tracing is off."""

    on = content = False

    def __init__(self) -> None:
        self._none = NoSpan()

    def begin(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        parent: str = "",
        link: str = "",
        attributes: Mapping[str, Value] | None = None,
    ) -> NoSpan:
        del name, kind, parent, link, attributes
        return self._none


@contextmanager
def spanning(span: Span, *, calm: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Let a span last as long as the block, and be the scope in it. `calm` exceptions are no errors."""
    error = "error"
    try:
        with within(traceparent=span.traceparent):
            yield
        error = ""
    except BaseException as raised:
        error = "" if isinstance(raised, calm) else type(raised).__name__
        raise
    finally:
        span.end(error)


Prompt = Callable[[], str]
"""What a model is asked, made only where it may be kept."""
