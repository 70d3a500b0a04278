"""A terminal with rich (extra `cli`): colours and a spinner."""

from rich.console import Console
from rich.status import Status
from rich.text import Text


class RichScreen:
    """The terminal that standard output is."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._status: Status | None = None

    def write(self, text: str, style: str = "") -> None:
        """Text where the cursor is."""
        # rich would wrap what comes in pieces at the wrong places.
        self._console.print(Text(text, style=style), end="", soft_wrap=True)
        self._console.file.flush()

    def waiting(self, text: str) -> None:
        """A spinner with that text until the next call."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if text:
            self._status = self._console.status(Text(text, style="dim"))
            self._status.start()
