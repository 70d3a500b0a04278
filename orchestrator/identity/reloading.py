"""Files that may change while the process runs. What was in force stays until what is new is good."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from orchestrator.identity.errors import IdentityFileError
from state.background import BackgroundTask

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Stamp = tuple[int, int, int] | None


class ReloadedFiles(BackgroundTask, Generic[T]):
    """Files that mean something together. One task inside its context looks at them again."""

    def __init__(
        self,
        what: str,
        paths: Sequence[Path],
        read: Callable[[Sequence[bytes]], T],
        *,
        reload_seconds: float,
    ) -> None:
        """`what` they are, for the log; `read` makes one thing of what they hold, or raises it.

        Raises:
            IdentityFileError: They cannot be used.
        """
        super().__init__(f"reload-{what.replace(' ', '-')}")
        self._what = what
        self._paths = paths
        self._parse = read
        self._reload_seconds = reload_seconds
        self._seen = self._stamps()
        self._current = self._read()

    @property
    def current(self) -> T:
        """What is in force; another object takes its place when the files change."""
        return self._current

    def look(self) -> bool:
        """Read them if they have changed; whether something else is in force now."""
        stamps = self._stamps()
        if stamps == self._seen:
            return False
        self._seen = stamps
        try:
            self._current = self._read()
        except IdentityFileError as error:
            logger.warning(
                "changed files are refused, the last good ones stay",
                extra={"what": self._what, "problem": str(error)},
            )
            return False
        logger.info("changed files are in force", extra={"what": self._what})
        return True

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._paths]

    def _read(self) -> T:
        names = ", ".join(path.name for path in self._paths)
        try:
            return self._parse([path.read_bytes() for path in self._paths])
        except OSError as error:
            raise IdentityFileError(f"{error.filename}: cannot be read") from error
        except IdentityFileError as error:
            raise IdentityFileError(f"{names}: {error}") from error

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._reload_seconds)
            self.look()


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    # A mounted secret replaces the file by another one that may be as old.
    return status.st_mtime_ns, status.st_ino, status.st_size
