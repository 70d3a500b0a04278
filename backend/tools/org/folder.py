"""One user's folder of org files, reached by descriptors only: no name and no link leads out of it."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from llm_orchestrator_client.tool_service import FailedPreconditionError, UnavailableError

MAX_BYTES = 512 * 1024
"""Of one file."""

_MAX_DEPTH = 5
_MAX_FILES = 500
_SUFFIXES = (".org", ".org_archive")
_TEMPORARY = ".new-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK a pipe that somebody put there would be waited for.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE)


def folder_name(user: str) -> str:
    """The folder of a user: SHA-256 in hex, whatever the id holds and however long it is."""
    return sha256(user.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """A file and when it was last changed, in nanoseconds since 1970."""

    name: str
    changed: int


class Folder:
    """The folder behind an open descriptor, which is the caller's to close."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read(self, name: str) -> str | None:
        """The text of a file by its path in the folder; None when there is no such file.

        Raises:
            FailedPreconditionError: It is too large, or is not UTF-8.
        """
        data = self.read_bytes(name)
        if data is None:
            return None
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise FailedPreconditionError(f"{name} is not UTF-8 text.", reason="NOT_TEXT") from error

    def read_bytes(self, name: str) -> bytes | None:
        """As `read`, undecoded."""
        parts = path_parts(name)
        if parts is None:
            return None
        data = self._read(parts, MAX_BYTES + 1)
        if data is not None and len(data) > MAX_BYTES:
            raise too_large(name)
        return data

    def read_hidden(self, name: str) -> bytes | None:
        """A file of our own, which no path leads to; None when there is no such file."""
        return self._read((name,), -1)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file of this folder anew: whoever reads sees the old or the new one, also after a crash.

        Raises:
            FailedPreconditionError: Something else has its name.
            UnavailableError: It cannot be written now.
        """
        temporary = _TEMPORARY + secrets.token_hex(8)
        with _writing():
            mode = self.mode(name)
            try:
                self._write(temporary, data, mode)
                os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=self.descriptor)
                raise
            os.fsync(self.descriptor)

    def remove(self, name: str) -> None:
        """Remove a file of this folder."""
        with _writing():
            os.unlink(name, dir_fd=self.descriptor)
            os.fsync(self.descriptor)

    def has(self, name: str) -> bool:
        """Whether something has this name."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def mode(self, name: str) -> int:
        """The permissions of a file of this folder, or those of a new one.

        Raises:
            FailedPreconditionError: Something else has its name, as a link.
        """
        try:
            known = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return 0o600
        if not stat.S_ISREG(known.st_mode):
            raise FailedPreconditionError(f"{name} is no file of its own.", reason="NOT_A_FILE")
        return stat.S_IMODE(known.st_mode)

    def clear(self) -> None:
        """Remove what writers left who have crashed. Only under the folder's lock."""
        with _writing():
            for name in os.listdir(self.descriptor):
                if name.startswith(_TEMPORARY):
                    os.unlink(name, dir_fd=self.descriptor)

    def files(self) -> list[Found]:
        """The org files of the folder and those in it, in order of their names, at most 500."""
        return sorted(self._walk(self.descriptor, (), _MAX_FILES), key=lambda found: found.name)

    def _walk(self, directory: int, above: tuple[str, ...], left: int) -> list[Found]:
        found: list[Found] = []
        for name in sorted(os.listdir(directory)):
            path = "/".join((*above, name))
            if len(found) >= left or name.startswith("."):
                continue
            try:
                known = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISREG(known.st_mode) and path_parts(path):
                    found.append(Found(path, known.st_mtime_ns))
                elif stat.S_ISDIR(known.st_mode) and len(above) < _MAX_DEPTH:
                    with self._below((name,), directory) as inner:
                        found += self._walk(inner, (*above, name), left - len(found))
            except OSError as error:
                if error.errno not in _NOT_THERE:  # else it went while we looked
                    raise
        return found

    def _read(self, parts: Sequence[str], most: int) -> bytes | None:
        try:
            with self._below(parts[:-1]) as parent:
                file = os.open(parts[-1], _FILE, dir_fd=parent)
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            return None
        with os.fdopen(file, "rb") as opened:
            return opened.read(most)

    @contextmanager
    def _below(self, parts: Sequence[str], start: int | None = None) -> Iterator[int]:
        opened: list[int] = []
        current = self.descriptor if start is None else start
        try:
            for part in parts:
                current = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
                opened.append(current)
            yield current
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _write(self, name: str, data: bytes, mode: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=self.descriptor)
        with os.fdopen(file, "wb") as opened:
            os.fchmod(file, mode)
            opened.write(data)
            opened.flush()
            os.fsync(file)


@contextmanager
def open_folder(root: str, user: str, *, make: bool) -> Iterator[Folder | None]:
    """A user's folder below `root`; None when there is none and it is not to be made.

    Raises:
        UnavailableError: It cannot be made.
    """
    name = folder_name(user)
    if make:
        with _writing():
            os.makedirs(root, mode=0o700, exist_ok=True)
            with suppress(FileExistsError):
                os.mkdir(os.path.join(root, name), mode=0o700)
    descriptor = _opened(root, name)
    if descriptor is None:
        if make:
            raise UnavailableError("The org files cannot be reached now.")
        yield None
        return
    try:
        yield Folder(descriptor)
    finally:
        os.close(descriptor)


def path_parts(name: str) -> tuple[str, ...] | None:
    """The parts of an org file's path in a folder; None when it is not a plain path to an org file."""
    parts = tuple(name.split("/"))
    plain = all(part and not part.startswith(".") and "\0" not in part for part in parts)
    return parts if plain and parts[-1].endswith(_SUFFIXES) and len(parts) <= _MAX_DEPTH + 1 else None


def too_large(name: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"{name} is, or would be, larger than {MAX_BYTES} bytes.", reason="FILE_TOO_LARGE"
    )


def _opened(root: str, name: str) -> int | None:
    try:
        top = os.open(root, _DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    finally:
        os.close(top)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UnavailableError("The org files cannot be written now; nothing was changed.") from error
        raise
