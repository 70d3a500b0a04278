"""`python -m tests.fakes.mcp_server [--port N]`: a small MCP server, on stdin and stdout or over HTTP."""

import argparse
import asyncio
import os
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("small")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False))
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


@server.tool()
def say(text: str) -> str:
    """Say it again."""
    return text


@server.tool(name="files.write", annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True))
def write(path: str) -> str:
    """Write a file."""
    Path(path).write_text("written")
    return "written"


@server.tool()
def variable(which: str) -> str:
    """A variable of the server's environment."""
    return os.environ.get(which, "not set")


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("there is no such day")


@server.tool()
def die() -> str:
    """End the process."""
    os._exit(3)


def leave(marker: str) -> None:
    Path(marker).write_text("cancelled")


@server.tool()
async def wait(marker: str, ctx: Context) -> str:
    """Say that it has begun, then wait for ever; leaves a file behind when it is cancelled."""
    await ctx.report_progress(1, 4, "begun")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        leave(marker)
        raise
    return "never"


async def over_http(port: int) -> None:
    config = uvicorn.Config(server.streamable_http_app(), host="127.0.0.1", port=port, log_level="error")
    await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(prog="mcp_server")
    parser.add_argument("--port", type=int, default=0, help="0 speaks over stdin and stdout")
    port = parser.parse_args().port
    if port:
        asyncio.run(over_http(port))
    else:
        server.run()


if __name__ == "__main__":
    main()
