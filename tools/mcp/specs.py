"""Tools of an MCP server as ours.

Whatever a server says of its tools may be wrong. What makes us stricter is believed, what would make us laxer
only when the operator's file says it: so, unless that says otherwise, a tool writes, may destroy, reaches the
open world, and what it answers is the text of strangers.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mcp import Tool as McpTool

from tools.base import Tool
from tools.mcp.file import Known, McpLimits, McpServer
from tools.schemas import SchemaUnusableError, usable

logger = logging.getLogger(__name__)

MOST_TOOLS = 128
_UNUSABLE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 4096


@dataclass(frozen=True, slots=True)
class Specified:
    """A tool, and how its server calls it."""

    tool: Tool
    remote_name: str
    trusted: bool


def specified_tools(
    server_name: str, server: McpServer, listed: Sequence[McpTool], limits: McpLimits
) -> dict[str, Specified]:
    """Those that the file allows and that can be used, by our names: `server__tool`."""
    found: dict[str, Specified] = {}
    for one in listed:
        if not any(fnmatchcase(one.name, pattern) for pattern in server.tools) or len(found) == MOST_TOOLS:
            continue
        name = f"{server_name}__{_UNUSABLE.sub('_', one.name)}"
        try:
            if len(name) <= _LONGEST_NAME and name not in found:
                known = server.tool.get(one.name, Known())
                tool = _tool(name, one, known, server.operation_type, limits)
                found[name] = Specified(tool, one.name, known.trusted)
        except SchemaUnusableError as error:
            logger.warning("a tool of an MCP server is off", extra={"tool": name, "because": str(error)})
    return found


def _tool(name: str, one: McpTool, known: Known, operation_type: str, limits: McpLimits) -> Tool:
    if one.output_schema is not None:
        usable(one.output_schema, patterns=False)  # the library checks results with it as it is
    destructive = _destructive(one, known)
    return Tool(
        name=name,
        description=(one.description or one.title or "")[:_LONGEST_DESCRIPTION],
        parameters=usable(one.input_schema),
        operation_type=known.operation_type or operation_type,
        read_only=bool(known.read_only) and not (destructive or known.spends),
        idempotent=bool(known.idempotent),
        destructive=destructive,
        open_world=True,
        spends=known.spends,
        asks=known.asks,
        timeout_seconds=limits.seconds,
        max_result_bytes=limits.max_result_bytes,
    )


def _destructive(one: McpTool, known: Known) -> bool:
    if known.destructive is not None:
        return known.destructive
    if known.read_only:
        return False
    hint = one.annotations.destructive_hint if one.annotations else None
    return hint is not False  # unsaid is true, as the protocol has it
