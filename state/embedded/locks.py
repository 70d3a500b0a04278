"""Locks between processes, which the kernel frees when their holder dies."""

import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from state.embedded.waiting import Deadline


class FileLock:
    """An exclusive flock on a file that is never deleted, held by one instance in one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free.

        Raises:
            OSError: The lock file cannot be opened.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file
        return True

    def held_by(self) -> str:
        """Who has the lock, for a message to an operator."""
        return f"process {self._path.read_text() or '(unknown)'} holds {self._path}"

    def release(self) -> None:
        """Free the lock; nothing happens if it is not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @asynccontextmanager
    async def held(self, deadline: Deadline) -> AsyncGenerator[None]:
        """Hold the lock for a block.

        Raises:
            EmbeddedPostgresError: Another process kept it until the deadline.
            OSError: The lock file cannot be opened.
        """
        # Polled: a thread blocked in flock could be neither cancelled nor left behind.
        while not self.try_acquire():
            await deadline.pause(f"{self.held_by()} and is starting Postgres: wait for it, or end it")
        try:
            yield
        finally:
            self.release()
