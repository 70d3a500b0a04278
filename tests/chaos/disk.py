"""A small disk of the database's own, which can be filled up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SIZE = "size=400m,mode=755"
_CHUNK = 1 << 20


class Disk:
    """`folder` is on it. `limited`: whether it is a small one: that needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self.limited = False

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """A tmpfs in the folder while inside, where that is allowed; else the folder as it is."""
        mount = ["mount", "-t", "tmpfs", "-o", _SIZE, "chaos", str(self.folder)]
        self.limited = (
            os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
        )
        try:
            yield
        finally:
            if self.limited:
                subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True)

    def fill(self) -> None:
        """Take all that is left. Only where it is limited."""
        assert self.limited, "this would fill a disk that others use"
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(_CHUNK))

    def empty(self) -> None:
        """Give it back."""
        self._ballast.unlink(missing_ok=True)
