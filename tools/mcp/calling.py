"""What is asked of a connected MCP server, and what its answers mean."""

from collections.abc import Sequence

import anyio
import orjson
from mcp import Client, MCPError
from mcp import Tool as McpTool
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_PARAMS,
    REQUEST_TIMEOUT,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    TextContent,
    TextResourceContents,
)

from tools.base import Arguments, ToolOutcome
from tools.mcp.server import ServerGoneError, Told
from tools.mcp.specs import MOST_TOOLS, Specified
from tools.results import answered, capped, failed

_MOST_PAGES = 16
_CLOSED = (CONNECTION_CLOSED, REQUEST_TIMEOUT)
_LOST = (OSError, anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)


async def listed(client: Client) -> Sequence[McpTool]:
    """All of the server's tools, as far as we use so many.

    Raises:
        ServerGoneError: It does not answer, or not with tools.
    """
    found: list[McpTool] = []
    cursor = None
    try:
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor or len(found) > 8 * MOST_TOOLS:
                break
    except (MCPError, RuntimeError, ValueError, *_LOST) as error:
        raise ServerGoneError from error
    return found


async def called(client: Client, specified: Specified, arguments: Arguments, told: Told) -> ToolOutcome:
    """What came of a call.

    Raises:
        ServerGoneError: The server was lost.
    """
    try:
        result = await client.call_tool(specified.remote_name, dict(arguments), progress_callback=told)
    except MCPError as error:
        if error.code in _CLOSED:
            raise ServerGoneError from error
        if error.code == INVALID_PARAMS:
            return failed("INVALID_ARGUMENT", "The tool does not accept these arguments.")
        return failed("TOOL_FAILED", "The tool failed.")
    except _LOST as error:
        raise ServerGoneError from error
    except (RuntimeError, ValueError):  # the result does not fit what the server said of it
        return failed("TOOL_GARBLED", "The tool's answer cannot be read.")
    return _outcome(specified, result)


def _outcome(specified: Specified, result: CallToolResult) -> ToolOutcome:
    tool, untrusted = specified.tool, not specified.trusted
    text = "\n".join(_text(block) for block in result.content)
    if not text and result.structured_content is not None:
        text = orjson.dumps(result.structured_content, default=str).decode()
    if result.is_error:
        return failed("TOOL_REFUSED", capped(text, tool.max_result_bytes)[0], untrusted=untrusted)
    return answered(tool, text or "Done.", summary=f"{len(result.content)} parts", untrusted=untrusted)


def _text(block: ContentBlock) -> str:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, EmbeddedResource) and isinstance(block.resource, TextResourceContents):
        return block.resource.text
    return f"[{block.type}, left out]"
