"""The user Postgres runs as: Postgres refuses root, so root starts it as somebody else."""

import os
import pwd
import tempfile
from dataclasses import dataclass
from pathlib import Path

from state.embedded.errors import EmbeddedPostgresError

READ = 0o4
PASS = 0o1
ROOT = 0


@dataclass(frozen=True, slots=True)
class Account:
    """A user that runs Postgres. `switched` is true when it is another one than ours."""

    name: str
    uid: int
    gid: int
    switched: bool

    def may(self, path: Path, bits: int) -> bool:
        """Whether the mode of `path`, which has no symbolic links in it, grants all `bits` to this user."""
        if not self.switched:
            return True
        info = path.stat()
        if info.st_uid == self.uid:
            return (info.st_mode >> 6) & bits == bits
        if info.st_gid == self.gid:
            return (info.st_mode >> 3) & bits == bits
        return info.st_mode & bits == bits

    def reaches(self, folder: Path) -> bool:
        """Whether this user can pass through `folder`, without symbolic links in it, and all its parents."""
        return all(self.may(part, PASS) for part in (folder, *folder.parents))

    def own(self, path: Path) -> None:
        """Give a file or folder of ours to this user."""
        if self.switched:
            os.chown(path, self.uid, self.gid)


def account_for(data: Path) -> Account:
    """The user for the folder `data`, which may be missing: ourselves, or for root its owner, else nobody.

    Raises:
        EmbeddedPostgresError: Root has no user to switch to.
    """
    if os.geteuid() != ROOT:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), switched=False)
    owner = data.stat() if data.exists() else None
    if owner is not None and owner.st_uid != ROOT:
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, switched=True)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedPostgresError(
            "Postgres does not run as root and this machine has no user nobody: start as another user"
        ) from error
    return Account("nobody", nobody.pw_uid, nobody.pw_gid, switched=True)


def make_passable(folder: Path) -> None:
    """Make a missing folder that others can pass through whatever our umask; leave an existing one alone."""
    if folder.is_dir():
        return
    make_passable(folder.parent)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    work.chmod(0o755)
    try:
        # Complete from its first moment: another start must not see it closed and put its data elsewhere.
        work.rename(folder)
    except OSError:
        work.rmdir()
        if not folder.is_dir():
            raise


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
