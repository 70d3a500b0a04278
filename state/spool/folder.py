"""The folder of an outage journal: on a disk, and of one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from state.embedded.locks import FileLock
from state.spool.errors import SpoolError

_LOCK = "lock"
_IN_MEMORY = frozenset(("tmpfs", "ramfs", "devtmpfs"))
_MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def owned(folder: Path) -> Iterator[Path]:
    """The folder, for this process alone; the kernel gives it back when the process dies.

    Raises:
        SpoolError: There is no such folder, another process has it, or nothing in it would last.
    """
    if not folder.is_dir():
        # Not made: what is missing may be a volume that was to be mounted there.
        raise SpoolError(f"the folder of the outage journal, {folder}, does not exist: make it, or mount it")
    kind = file_system(folder)
    if kind in _IN_MEMORY:
        raise SpoolError(
            f"the folder of the outage journal, {folder}, is in memory ({kind}) and would be lost: "
            "choose one on a disk"
        )
    lock = FileLock(folder / _LOCK)
    try:
        free = lock.try_acquire()
    except OSError as error:
        raise SpoolError(
            f"the folder of the outage journal, {folder}, cannot be written: {error.strerror}"
        ) from error
    if not free:
        raise SpoolError(f"the outage journal is in use: {lock.held_by()}; give each process its own folder")
    try:
        yield folder
    finally:
        lock.release()


def file_system(folder: Path, mounts: str | None = None) -> str:
    """What kind of file system holds a folder, as `ext4`; empty when the system does not say."""
    try:
        lines = (_MOUNTS.read_text() if mounts is None else mounts).splitlines()
    except OSError:
        return ""
    place, found, kind = folder.resolve(), Path("/"), ""
    for line in lines:
        mount, _, after = line.partition(" - ")
        point = Path(mount.split()[4].replace("\\040", " "))
        # A later mount lies over an earlier one at the same place.
        if place.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, after.split()[0]
    return kind


def make_last(path: Path) -> None:
    """Return when the folder's own list of files is on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
