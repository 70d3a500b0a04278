"""`python -m tests.fakes.scripted_provider --port N`: serve until SIGTERM."""

import argparse
import asyncio
import signal
import sys

import uvloop

from tests.fakes.scripted_provider.provider import ScriptedProvider


async def serve(port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with ScriptedProvider(port=port) as provider:
        sys.stdout.write(f"listening on 127.0.0.1:{provider.port}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripted_provider")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
