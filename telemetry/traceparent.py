"""W3C Trace Context's `traceparent`, version 00."""

import re

HEADER = "traceparent"
_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def checked(value: str) -> str:
    """The value if it is one, else nothing: a caller's mistake begins a new trace."""
    return value if _FORM.fullmatch(value) else ""


def parts(value: str) -> tuple[int, int, int] | None:
    """Trace, span and flags; None when it is none."""
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    trace, span, flags = found.groups()
    return int(trace, 16), int(span, 16), int(flags, 16)


def written(trace: int, span: int, flags: int) -> str:
    """As it goes into headers and metadata."""
    return f"00-{trace:032x}-{span:016x}-{flags:02x}"
