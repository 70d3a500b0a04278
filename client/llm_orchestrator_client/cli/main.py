"""The command `orchestrator`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from llm_orchestrator_client.cli import commands
from llm_orchestrator_client.cli.arguments import options_of, parser
from llm_orchestrator_client.client import OrchestratorClient
from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.options import Options

FAILED, USAGE, INTERRUPTED = 1, 2, 130

COMMANDS: dict[str, Callable[[OrchestratorClient, argparse.Namespace], Awaitable[int]]] = {
    "chat": commands.chat,
    "task": commands.task,
    "watch": commands.watch,
    "approve": commands.approve,
    "health": commands.health,
}


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run a command; its exit code, as `--help` says. The defaults are the process's own."""
    given = parser().parse_args(arguments)
    try:
        options = options_of(given, os.environ if environment is None else environment)
        return asyncio.run(_run(options, given))
    except OrchestratorError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except (ValueError, OSError) as error:
        sys.stderr.write(f"orchestrator: {error}\n")
        return USAGE
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\n")
        return INTERRUPTED


async def _run(options: Options, given: argparse.Namespace) -> int:
    async with OrchestratorClient(options) as client:
        return await COMMANDS[given.command](client, given)


if __name__ == "__main__":
    sys.exit(main())
