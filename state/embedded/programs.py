"""Starting the Postgres programs."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from state.embedded.account import Account

# Changing the user in `Popen` makes it fork, and then gRPC's fork handlers run, and crash, in the child. A
# program that changes its own user and becomes the other needs no fork.
_BECOME = (
    "import os, sys; uid, gid = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(gid); os.setuid(uid); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)

# Nothing of our own: it holds the keys of providers, and PG* variables would change what is started.
ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


def spawn(argv: Sequence[str], account: Account, log: Path) -> subprocess.Popen[bytes]:
    """Start a program as `account` in a session of its own, so that a terminal's Ctrl-C does not reach it.

    Not asyncio's: uvloop cannot change the user, and a cancellation could lose the only handle of a process.

    Raises:
        OSError: The program cannot be started.
    """
    sink = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            _as_user(argv, account) if account.switched else argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
        )
    finally:
        os.close(sink)


def _as_user(argv: Sequence[str], account: Account) -> Sequence[str]:
    return [sys.executable, "-I", "-S", "-c", _BECOME, str(account.uid), str(account.gid), *argv]
