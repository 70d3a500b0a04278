"""Tells keys from other texts, so that none is kept in a file."""

import re
from collections.abc import Iterator

_KNOWN = re.compile(
    r"(?:^|[\s\"'=:,;])(?:"
    r"[spr]k[-_](?=\S*\d)[A-Za-z0-9_-]{8,}"  # OpenAI, Anthropic, OpenRouter, DeepSeek and others
    r"|(?:gsk_|hf_|r8_|fw_|gh[pousr]_|xai-|pplx-|csk-|nvapi-|AIza)[A-Za-z0-9_-]*[A-Za-z0-9]{16}"
    r"|github_pat_\w{8}|AKIA[0-9A-Z]{16}|eyJ[A-Za-z0-9_-]{8,}\.|(?i:bearer)\s+\S)"
)
_RUN = re.compile(r"[A-Za-z0-9]{32,}")


def looks_like_a_key(text: str) -> bool:
    """It begins as vendors' keys do, or holds 32 letters and digits in a row, mixed."""
    if _KNOWN.search(text):
        return True
    return any(any(map(str.isdigit, run)) and any(map(str.isalpha, run)) for run in _RUN.findall(text))


def keys_in(value: object, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The place of every text in a parsed file that looks like a key, names of fields among them."""
    if isinstance(value, str) and looks_like_a_key(value):
        yield place
    elif isinstance(value, dict):
        for name, inner in value.items():
            if looks_like_a_key(name):
                yield (*place, "a name")
            else:
                yield from keys_in(inner, (*place, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from keys_in(inner, (*place, f"entry {number}"))
