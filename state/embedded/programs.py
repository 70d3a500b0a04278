"""Starting the Postgres programs."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from state.embedded.account import Account

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
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            env=ENVIRONMENT,
            start_new_session=True,
            user=account.uid if account.switched else None,
            group=account.gid if account.switched else None,
            extra_groups=[] if account.switched else None,
        )
    finally:
        os.close(sink)
