"""`python -m backend` serves; `python -m backend hash-password` prints what BACKEND_USERS wants."""

import asyncio
import getpass
import os
import signal
import sys
from collections.abc import Sequence
from secrets import token_urlsafe

import uvloop
from pydantic import SecretStr

from backend import logs
from backend.app import create_app
from backend.parts import ConfigurationError, Tools, opened
from backend.passwords import hashed
from backend.serving import AddressInUseError, serving
from backend.settings import Settings, UnusableSettingsError, User, load
from backend.store.errors import MigrationError, StoreUnavailableError
from backend.tooling import configured_tools
from llm_orchestrator_client.rollout import FlagSourceError
from llm_orchestrator_client.tool_service import AddressInUseError as ToolAddressInUseError
from llm_orchestrator_client.tool_service import UnsafeAddressError

EXPECTED = (
    AddressInUseError,
    ConfigurationError,
    FlagSourceError,
    MigrationError,
    OSError,
    StoreUnavailableError,
    ToolAddressInUseError,
    UnsafeAddressError,
)
"""What an operator can mend: one line, no traceback."""

_USAGE = "usage: python -m backend [hash-password]"


async def serve(settings: Settings, *, tools: Tools | None = None) -> None:
    """Everything, until SIGTERM or SIGINT. `tools` None = those of the settings."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        configured_tools(settings) as own,
        opened(settings, os.environ, tools=tools or own) as parts,
        serving(create_app(parts), settings.server) as address,
    ):
        say(f"serving on {address}")
        if parts.tool_address:
            say(f"tools on {parts.tool_address}")
        await stop.wait()
        say("stopping")


def with_somebody(settings: Settings) -> Settings:
    """Without users, one: with a password of this start, which is printed. Only on loopback."""
    if settings.users:
        return settings
    password = token_urlsafe(9)
    say(f"no users are configured: sign in as demo, password {password}")
    user = User(password=SecretStr(hashed(password)), administrator=True)
    return settings.model_copy(update={"users": {"demo": user}})


def main(arguments: Sequence[str]) -> int:
    """Exit codes: 0 stopped as told, 1 no start, 2 the command line or a setting is wrong."""
    if arguments == ["hash-password"]:
        say(hashed(getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")))
        return 0
    if arguments:
        return complain([_USAGE], 2)
    try:
        settings = load(os.environ)
    except UnusableSettingsError as error:
        return complain(error.lines, 2)
    logs.configure(settings.log_level)
    try:
        uvloop.run(serve(with_somebody(settings)))
    except EXPECTED as error:
        return complain([str(error)], 1)
    return 0


def say(line: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(lines: Sequence[str], code: int) -> int:
    """Print the lines to standard error; the exit code."""
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
