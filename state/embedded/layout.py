"""Where the files of one embedded Postgres are, and where its data goes when its user cannot reach them."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from state.embedded.account import ROOT, Account, account_for, make_passable
from state.embedded.errors import EmbeddedPostgresError

SHARED = Path("/var/lib/llm-orchestrator")


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one embedded Postgres: `folder` is the configured one, `home` holds data and locks."""

    folder: Path
    home: Path

    @property
    def data(self) -> Path:
        """The data folder of Postgres."""
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        """Where initdb and the server write."""
        return self.folder / "postgres.log"

    @property
    def password(self) -> Path:
        """The file with the password of the database user."""
        return self.folder / "password"

    @property
    def start_lock(self) -> Path:
        """Held while a process finds out whether to start, adopt or attach."""
        return self.home / "start.lock"

    @property
    def owner_lock(self) -> Path:
        """Held for as long as a process is the one that will stop the server."""
        return self.home / "owner.lock"


def settle(folder: Path) -> tuple[Layout, Account]:
    """Make `folder` if it is missing, and decide where its data lives and who runs Postgres. Blocking.

    No mode of a folder that was there before is changed.

    Raises:
        EmbeddedPostgresError: The folder, or the data in it, cannot be used.
        OSError: A file in it cannot be read or written.
    """
    _make(folder)
    layout = Layout(folder, _recorded_home(folder) or folder)
    account = account_for(layout.data)
    if layout.home != folder:
        make_passable(layout.home)
    if account.reaches(layout.home):
        return layout, account
    if layout.home != folder or layout.data.exists():
        raise EmbeddedPostgresError(
            f"{layout.data} cannot be reached by the user {account.name}, who runs Postgres: "
            f"let others pass through its parent folders (chmod o+x), or start as the user they belong to"
        )
    home = SHARED / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    make_passable(home)
    _write(_location(folder), f"{home}\n")
    return Layout(folder, home), account


def read_or_make_password(layout: Layout) -> str:
    """The database user's password; made, readable by us only, while there is no data it could belong to.

    Raises:
        EmbeddedPostgresError: There is data but no password.
    """
    try:
        password = layout.password.read_text().strip()
    except FileNotFoundError:
        password = ""
    if password:
        return password
    if layout.data.exists() and any(layout.data.iterdir()):
        raise EmbeddedPostgresError(
            f"{layout.password} is missing or empty, so the database in {layout.data} cannot be opened: "
            f"put the file back, or move {layout.data} away to start with an empty database"
        )
    password = secrets.token_urlsafe(32)
    _write(layout.password, f"{password}\n")
    return password


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise EmbeddedPostgresError(
            f"{folder} is a file, but a folder is needed for the database: choose another"
        )
    try:
        if os.geteuid() == ROOT:
            # A strict umask must not keep Postgres' user out of its own data.
            make_passable(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the database folder {folder} cannot be made: {error.strerror}; "
            f"allow this user to write to {folder.parent}, or choose another folder"
        ) from error


def _location(folder: Path) -> Path:
    return folder / "location"


def _recorded_home(folder: Path) -> Path | None:
    location = _location(folder)
    if not location.exists():
        return None
    home = Path(location.read_text().strip())
    if home.parent != SHARED:
        raise EmbeddedPostgresError(
            f"{location} must name a folder in {SHARED}: remove it, or write the folder with the data into it"
        )
    return home


def _write(path: Path, text: str) -> None:
    # Renamed when complete: a half written password would lock its owner out.
    work = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    file = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "w") as stream:
        stream.write(text)
    work.rename(path)
