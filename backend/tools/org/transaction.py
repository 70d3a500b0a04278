"""Changes of one or more files of a folder: all of them or none, whoever else writes and whenever it crashes.

lock -> finish what a crash has left -> read -> one file: rename
                                             -> several: rename of a journal, then of the files; journal away

With the journal in place the change has happened; whoever takes the lock next does what is left of it.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256

from backend.tools.org.folder import MAX_BYTES, Folder, too_large
from llm_orchestrator_client.tool_service import OverloadedError, UnavailableError

_LOCK = ".lock"
_JOURNAL = ".journal"
_PAUSE_SECONDS = 0.005


@contextmanager
def locked(folder: Folder, *, seconds: float) -> Iterator[None]:
    """The folder to oneself among threads and processes, with no change half done.

    Raises:
        OverloadedError: Somebody else has had it for `seconds`.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(_LOCK, flags, 0o600, dir_fd=folder.descriptor)
    try:
        _take(lock, seconds)
        folder.clear()
        _finish(folder)
        yield
    finally:
        os.close(lock)  # which also gives it back


def half_done(folder: Folder) -> bool:
    """Whether a crash has left something to be finished, or somebody is about to."""
    return folder.has(_JOURNAL)


def commit(folder: Folder, texts: Mapping[str, str], proceed: Callable[[], None]) -> None:
    """Write files anew, by their names. Only under the lock. `proceed` raises if it is not to be.

    Raises:
        FailedPreconditionError: One would be too large, or is no file; nothing has been written.
    """
    for name, text in texts.items():
        folder.mode(name)
        if len(text.encode()) > MAX_BYTES:
            raise too_large(name)
    planned = {name: {"before": _digest(folder, name), "after": text} for name, text in texts.items()}
    proceed()
    if len(texts) == 1:
        ((name, text),) = texts.items()
        folder.replace(name, text.encode())
        return
    folder.replace(_JOURNAL, json.dumps(planned).encode())
    # It has happened by now: where the disk is full, whoever comes next goes on with it.
    with suppress(UnavailableError):
        _finish(folder)


def _take(lock: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # No wait for a lock of this kind can be given a time, and whoever waits here is no use elsewhere.
            if time.monotonic() > until:
                raise OverloadedError("The org files are being changed by somebody else.") from None
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _finish(folder: Folder) -> None:
    journal = folder.read_hidden(_JOURNAL)
    if journal is None:
        return
    for name, change in json.loads(journal).items():
        # What somebody has changed since the crash stays as it is: an entry twice is better than one lost.
        if _digest(folder, name) == change["before"]:
            folder.replace(name, change["after"].encode())
    folder.remove(_JOURNAL)


def _digest(folder: Folder, name: str) -> str:
    data = folder.read_bytes(name)
    return "" if data is None else sha256(data).hexdigest()
