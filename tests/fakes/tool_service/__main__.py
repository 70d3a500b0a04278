"""`python -m tests.fakes.tool_service --port N`: serve until SIGTERM."""

import argparse
import asyncio
import signal
import sys

import uvloop

from tests.fakes.tool_service.service import FakeToolService


async def serve(port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with FakeToolService(port) as service:
        sys.stdout.write(f"listening on {service.address}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tool_service")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
