"""Results as the model sees them: capped, with a mark where something is missing."""

from tools.base import Tool, ToolOutcome

_MARK = "\n[cut: the first {shown} of {whole} bytes]"
_MARK_BYTES = 64


def capped(text: str, most_bytes: int) -> tuple[str, bool]:
    """A text of at most so many bytes, a mark at its end included, and whether something was cut."""
    # A lone surrogate is no text that could be written anywhere.
    data = text.encode(errors="replace")
    if len(data) <= most_bytes:
        return data.decode(), False
    kept = data[: max(0, most_bytes - _MARK_BYTES)].decode(errors="ignore")
    return kept + _MARK.format(shown=len(kept.encode()), whole=len(data)), True


def answered(
    tool: Tool, text: str, *, summary: str = "", untrusted: bool = False, truncated: bool = False
) -> ToolOutcome:
    """A success, as far as the tool's cap allows."""
    shown, cut = capped(text, tool.max_result_bytes)
    return ToolOutcome(
        True,
        shown,
        summary or f"{len(text)} characters",
        untrusted=untrusted,
        truncated=cut or truncated,
    )


def failed(reason: str, text: str, *, retryable: bool = False, untrusted: bool = False) -> ToolOutcome:
    """A failure, told to the model in `text`; `reason` is upper snake case."""
    summary = reason.lower().replace("_", " ")
    return ToolOutcome(False, text, summary, untrusted=untrusted, reason=reason, retryable=retryable)
