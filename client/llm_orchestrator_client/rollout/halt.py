"""The halt: nobody but the allowed users goes to the orchestrator until somebody releases it."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from llm_orchestrator_client.rollout.flag_file import replace_file

logger = logging.getLogger(__name__)


class Halt(Protocol):
    """Where the halt is kept. Neither method raises."""

    def cause(self) -> str:
        """Why it is halted; empty = it is not."""
        ...

    def stop(self, cause: str) -> None:
        """Halt; the first cause stays."""
        ...

    def release(self) -> None:
        """Let the rollout go on."""
        ...


class MemoryHalt:
    """Of this process, until it ends."""

    def __init__(self) -> None:
        self._cause = ""

    def cause(self) -> str:
        return self._cause

    def stop(self, cause: str) -> None:
        self._cause = self._cause or cause

    def release(self) -> None:
        self._cause = ""


class FileHalt:
    """Of all processes that name the same file, over restarts: it is halted while the file is there.

    Who may not write the file halts this process alone. Deleting the file by hand releases.
    """

    def __init__(
        self, path: Path, *, look_seconds: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._look_seconds = look_seconds
        self._clock = clock
        self._look_at = float("-inf")
        self._cause = ""
        self._own = MemoryHalt()

    def cause(self) -> str:
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + self._look_seconds
            self._cause = self._written()
        return self._cause or self._own.cause()

    def stop(self, cause: str) -> None:
        if self._written():
            return
        try:
            replace_file(self._path, json.dumps({"cause": cause, "time": time.time()}).encode())
        except OSError as error:
            logger.error("the halt cannot be written", extra={"error": type(error).__name__})  # noqa: TRY400
            self._own.stop(cause)
        self._look_at = float("-inf")

    def release(self) -> None:
        self._own.release()
        self._look_at = float("-inf")
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("the halt cannot be released", extra={"error": type(error).__name__})  # noqa: TRY400

    def _written(self) -> str:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return ""
        except OSError as error:
            return type(error).__name__
        try:
            return str(json.loads(content)["cause"]) or "unnamed"
        except (ValueError, KeyError, TypeError):
            return "unnamed"
