"""The arguments of `orchestrator`."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from getpass import getuser
from pathlib import Path

from llm_orchestrator_client.options import Options

EPILOG = """\
environment:
  ORCHESTRATOR_TARGET   as --target      ORCHESTRATOR_TLS      "true": as --tls
  ORCHESTRATOR_USER     as --user        ORCHESTRATOR_TLS_CA   as --ca
  ORCHESTRATOR_TLS_CERTIFICATE, ORCHESTRATOR_TLS_KEY   files of the certificate to show (mTLS)
  ORCHESTRATOR_TOKEN    the bearer token (there is no option for it: others can read a command line)
exit codes:
  0 done   1 the call or the run failed   2 wrong usage   4 the run waits for a permission   130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="orchestrator",
        description="Talk to an llm-orchestrator.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--target", help="host:port, dns:///name:port, or addresses with commas between them")
    whole.add_argument("--user", help="whose runs (default: who the token says, else who is logged in)")
    whole.add_argument("--tls", action="store_true", help="encrypt, with the system's certificates")
    whole.add_argument("--ca", type=Path, help="a file with the certificates to trust; implies --tls")
    commands = whole.add_subparsers(dest="command", required=True)
    _chat(commands.add_parser("chat", help="ask, and read the answer as it comes; Ctrl-C cancels it"))
    _task(commands.add_parser("task", help="begin a task and print its id"))
    _watch(commands.add_parser("watch", help="follow a task or a chat run, also one that is over"))
    _approve(commands.add_parser("approve", help="decide a permission; without one, list those that wait"))
    commands.add_parser("health", help="how the server and its providers are")
    return whole


def options_of(given: argparse.Namespace, environment: Mapping[str, str]) -> Options:
    """How to reach the server: what is given, else the environment.

    Raises:
        ValueError, OSError: As `Options.from_environment`.
    """
    override = {
        name: value
        for name, value in (
            ("ORCHESTRATOR_TARGET", given.target),
            ("ORCHESTRATOR_USER", given.user),
            ("ORCHESTRATOR_TLS", "true" if given.tls else None),
            ("ORCHESTRATOR_TLS_CA", str(given.ca) if given.ca else None),
        )
        if value
    }
    options = Options.from_environment({**environment, **override})
    if options.user_id or options.token:
        return options
    return replace(options, user_id=getuser())


def _chat(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "query", nargs="?", help="without it: a conversation on a terminal, else standard input"
    )
    command.add_argument("--conversation", default="", metavar="ID", help="go on with this one")
    command.add_argument("--agent", default="", help="an agent's name; without it the server chooses")
    command.add_argument("--seconds", type=float, help="cancel the run after so long")
    _json(command)


def _task(command: argparse.ArgumentParser) -> None:
    command.add_argument("query")
    command.add_argument("--conversation", default="", metavar="ID")
    command.add_argument("--agent", default="")
    command.add_argument("--watch", action="store_true", help="follow it to its end")
    _json(command)


def _watch(command: argparse.ArgumentParser) -> None:
    command.add_argument("task", help="a task's id, or a chat's run id")
    command.add_argument("--after", type=int, default=0, metavar="SEQUENCE", help="only what comes after it")
    _json(command)


def _approve(command: argparse.ArgumentParser) -> None:
    command.add_argument("permission", nargs="?")
    command.add_argument("--deny", action="store_true", help="refuse it instead")
    command.add_argument("--edit", metavar="JSON", help="approve it with these arguments instead")
    command.add_argument("--scope", choices=["once", "run", "conversation"], default="once")
    command.add_argument("--reason", default="", help="recorded; a denial's is told to the model")


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="every event as a line of JSON, as it comes")
