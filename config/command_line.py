"""What stands after `python main.py`, and what it says to whoever typed it."""

import argparse
import sys
from collections.abc import Sequence


def parse(arguments: Sequence[str] | None, version: str) -> argparse.Namespace:
    """The command line; ends the process with code 2 when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="main.py",
        description="A gRPC service that streams fresh completions from LangGraph agents.",
        epilog="Settings come from the environment and .env; .env.example lists them all.",
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("serve", help="serve until SIGTERM or SIGINT (what happens without a command)")
    commands.add_parser("migrate", help="bring the database schema up to date, and end")
    return parser.parse_args(arguments)


def say(line: str) -> None:
    """Tell whoever started the process how far it is. Logs go to standard error, this to standard output."""
    print(line, flush=True)  # noqa: T201


def complain(lines: Sequence[str], code: int) -> int:
    """Print a line for each reason; return the exit code."""
    for line in lines:
        print(f"llm-orchestrator: {line}", file=sys.stderr)  # noqa: T201
    return code
