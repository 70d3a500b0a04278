"""A provider file that may change while the process runs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from providers.file.entries import ProviderConfiguration
from providers.file.reading import ProviderFileError, read_configuration
from state.background import BackgroundTask

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int, int] | None


class ProviderFile:
    """One file, and which state of it was read last."""

    def __init__(self, path: Path, environment: Mapping[str, str], *, production: bool) -> None:
        self._path = path
        self._environment = environment
        self._production = production
        self._read_stamp: _Stamp = None

    def read(self) -> ProviderConfiguration:
        """The file's content now, checked.

        Raises:
            ProviderFileError: It cannot be used.
        """
        # First the stamp: what is written while it is read is then seen as a change.
        self._read_stamp = self._stamp()
        return read_configuration(self._path, self._environment, production=self._production)

    def changed(self) -> bool:
        """Whether it is another file, or another content, than the one that was read."""
        return self._stamp() != self._read_stamp

    def _stamp(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None
        # A mounted ConfigMap replaces the file by another one that may be as old.
        return status.st_mtime_ns, status.st_ino, status.st_size


class ProviderFileWatch(BackgroundTask):
    """Runs one task inside its context, which looks at the file again and again.

    `apply` gets each new content that is valid, and may refuse it by a `ProviderFileError` too. What is
    refused is logged once, with its reasons, and changes nothing.
    """

    def __init__(
        self,
        file: ProviderFile,
        apply: Callable[[ProviderConfiguration], None],
        *,
        reload_seconds: float,
    ) -> None:
        super().__init__("provider-file-watch")
        self._file = file
        self._apply = apply
        self._reload_seconds = reload_seconds

    def look(self) -> bool:
        """Read the file if it has changed; whether a new content is in force."""
        if not self._file.changed():
            return False
        try:
            self._apply(self._file.read())
        except ProviderFileError as error:
            logger.warning(
                "the provider file is refused, nothing has changed", extra={"reasons": error.lines}
            )
            return False
        logger.info("the provider file was read again")
        return True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._reload_seconds)
            self.look()
