"""What callers did and were told, and what happened to the system: JSON lines on disk, only added to."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import orjson

from tests.chaos.liveness import LivenessClock

FILE = "history.jsonl"


class History:
    """A file in a folder. Each line has `at`, monotonic seconds from the start, and `live`, of the liveness
    clock."""

    def __init__(self, folder: Path, clock: LivenessClock) -> None:
        self._file = (folder / FILE).open("ab", buffering=0)
        self._clock = clock
        self._began = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def note(self, what: str, **fields: Any) -> None:
        """One line. `fields` is what JSON can hold."""
        line = {"what": what, "at": monotonic() - self._began, "live": self._clock.seconds, **fields}
        self._file.write(orjson.dumps(line) + b"\n")


def lines(file: Path) -> Iterator[dict[str, Any]]:
    """Those of a file; none if there is none."""
    if file.exists():
        with file.open("rb") as opened:
            for line in opened:
                yield orjson.loads(line)
