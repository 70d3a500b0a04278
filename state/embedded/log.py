"""What postgres.log says about a start that failed."""

import re
from pathlib import Path

CAUSE = re.compile(r"(?:FATAL|PANIC|error):\s+(.+)|\bpostgres: (.+)|(error while loading .+)")


def size_of(log: Path) -> int:
    """The length in bytes; 0 while there is no log."""
    return log.stat().st_size if log.exists() else 0


def text_since(log: Path, offset: int) -> str:
    """What was written after the first `offset` bytes."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(offset)
        return stream.read().decode(errors="replace")


def last_cause(text: str, secret: str) -> str:
    """The message of the last FATAL or PANIC line, or of a program's error; empty if it holds `secret`."""
    causes = [match for match in map(CAUSE.search, text.splitlines()) if match]
    if not causes:
        return ""
    line = next(group for group in causes[-1].groups() if group)
    return "" if secret in line else line
