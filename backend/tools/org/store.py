"""The folders of all users, read and changed in threads: nothing waits for a disk in the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakValueDictionary

from backend.tools.org.folder import Folder, open_folder
from backend.tools.org.transaction import commit, half_done, locked

T = TypeVar("T")


class AbandonedError(Exception):
    """Whoever asked for a change has gone before it was made."""


class OrgStore:
    """Folders below `root`. Nobody waits longer than `lock_seconds` for another process."""

    def __init__(self, root: str, *, lock_seconds: float = 5.0) -> None:
        self._root = root
        self._lock_seconds = lock_seconds
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def read(self, user: str, work: Callable[[Folder], T], otherwise: T) -> T:
        """What `work` finds in the user's folder; `otherwise` when there is none yet.

        Raises:
            OverloadedError: Something is to be finished first, and somebody else is at it.
        """
        return await asyncio.to_thread(self._read, user, work, otherwise)

    async def change(self, user: str, work: Callable[[Folder], tuple[Mapping[str, str], T]]) -> T:
        """Let `work` say how files of the user's folder are to read, and write them: all or none.

        Once it is being written it is written to the end, also when the caller goes; before that it is not.

        Raises:
            OverloadedError: Somebody else is writing. Nothing was changed.
            UnavailableError: It cannot be written. Nothing was changed.
        """
        async with self._turn(user):
            gone = threading.Event()
            task = asyncio.create_task(asyncio.to_thread(self._change, user, work, gone))
            return await _to_the_end(task, gone)

    @asynccontextmanager
    async def _turn(self, user: str) -> AsyncIterator[None]:
        # So that one user's calls wait here, and not each in a thread for the lock of the folder.
        turn = self._turns.setdefault(user, asyncio.Lock())
        async with turn:
            yield

    def _read(self, user: str, work: Callable[[Folder], T], otherwise: T) -> T:
        with open_folder(self._root, user, make=False) as folder:
            if folder is None:
                return otherwise
            if half_done(folder):
                with locked(folder, seconds=self._lock_seconds):
                    return work(folder)
            return work(folder)

    def _change(
        self, user: str, work: Callable[[Folder], tuple[Mapping[str, str], T]], gone: threading.Event
    ) -> T:
        def proceed() -> None:
            if gone.is_set():
                raise AbandonedError

        with open_folder(self._root, user, make=True) as folder:
            assert folder is not None
            with locked(folder, seconds=self._lock_seconds):
                texts, result = work(folder)
                if texts:
                    commit(folder, texts, proceed)
                return result


async def _to_the_end(task: asyncio.Task[T], gone: threading.Event) -> T:
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            gone.set()
    if cancelled is not None:
        task.exception()  # the cancellation is what is told
        raise cancelled
    return task.result()
