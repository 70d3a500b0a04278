"""What stands after `python main.py`, and what it says to whoever typed it."""

import argparse
import sys
from collections.abc import Sequence

_MOST = 1_000_000


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
    agents = commands.add_parser("agents", help="what concerns the agents' files")
    actions = agents.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("check", help="say what is wrong with them, a line each, and end with code 1 if so")
    storage = commands.add_parser("storage", help="show what takes up space, and end")
    storage.add_argument("--largest", type=_count, metavar="N", help="how many conversations to list (10)")
    events = commands.add_parser("events", help="what concerns the events that leave the service")
    acts = events.add_subparsers(dest="action", metavar="ACTION", required=True)
    tail = acts.add_parser("tail", help="print each event, a line of JSON, until SIGTERM or SIGINT")
    tail.add_argument("--all", action="store_true", help="begin with the oldest that is kept, not with now")
    acts.add_parser(
        "relay", help="pass events on to the brokers and do nothing else, until SIGTERM or SIGINT"
    )
    _add_token(commands.add_parser("token", help="make a token and the line that lets it in, and end"))
    parser.set_defaults(largest=10, all=False, action="")
    return parser.parse_args(arguments)


def _add_token(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="what the token is called, and the service that has it")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", default="", help="it is this user's")
    whose.add_argument(
        "--for", dest="users", nargs="+", default=[], metavar="USER", help="a service's, for these; * = all"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {_MOST}")
    return int(text)


def say(line: str) -> None:
    """Tell whoever started the process how far it is. Logs go to standard error, this to standard output."""
    print(line, flush=True)  # noqa: T201


def complain(lines: Sequence[str], code: int) -> int:
    """Print a line for each reason; return the exit code."""
    for line in lines:
        print(f"llm-orchestrator: {line}", file=sys.stderr)  # noqa: T201
    return code


def storage_report(
    tables: Sequence[tuple[str, int]], conversations: Sequence[tuple[str, str, int, int]]
) -> str:
    """What takes up space: tables by name and bytes, conversations by owner, name, checkpoints and log."""
    total = ("total", sum(size for _, size in tables))
    lines = _table(("TABLE", "BYTES"), [*tables, total])
    if conversations:
        lines += ["", *_table(("OWNER", "CONVERSATION", "CHECKPOINT BYTES", "LOG BYTES"), conversations)]
    return "\n".join(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str | int]]) -> list[str]:
    cells = [[f"{cell:,}" if isinstance(cell, int) else _printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    numeric = [isinstance(cell, int) for cell in rows[0]]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        for line in (header, *cells)
    ]


def _printable(text: str) -> str:
    """Names are their users' own: a terminal must not obey them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
