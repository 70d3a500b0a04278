"""The tools that a backend describes itself: DescribeTools and InvokeTool."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from protos import tool_service_pb2 as pb
from providers.window import Clock
from state.models import Owner, RunId
from tools.arguments import ArgumentError, fitting
from tools.base import Arguments, Progress, Tool, ToolContext, ToolOutcome
from tools.gateway.calling import Request, printable
from tools.gateway.codec import decoded
from tools.gateway.failures import GARBLED, OFF, CallFailedError, outcome
from tools.gateway.gateway import ToolGateway
from tools.gateway.output import outcome_of_output
from tools.gateway.specs import Specified, SpecLimits, described_tools
from tools.results import failed
from tools.table.typed import NAMES

logger = logging.getLogger(__name__)

_DESCRIBE, _INVOKE = "DescribeTools", "InvokeTool"
_DESCRIBE_SECONDS = 5.0
_LEAST_TTL_SECONDS, _MOST_TTL_SECONDS = 1.0, 24 * 3600.0
_MOST_USERS = 1000
_LONGEST_PROGRESS = 500


@dataclass(slots=True)
class _Known:
    """What one user may use. `lock`: the backend is asked by one at a time."""

    tools: Mapping[str, Specified] = field(default_factory=dict)
    revision: str = ""
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Described:
    """A source of what the gateway's backend describes, for each user; kept as long as the backend says.

    `taken`: names of tools of other sources, beside the typed ones; `ttl_seconds`: how long an answer without
    a time of its own is kept.
    """

    def __init__(
        self,
        gateway: ToolGateway,
        limits: SpecLimits,
        *,
        taken: Collection[str] = (),
        ttl_seconds: float = 300.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._taken = NAMES | set(taken)
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._users: OrderedDict[Owner, _Known] = OrderedDict()

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        known = await self._known(owner)
        return [one.tool for one in known.values()]

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        specified = (await self._known(context.owner)).get(tool.name)
        if specified is None:
            return outcome(tool, CallFailedError(OFF))
        try:
            fitting(specified.tool, arguments)
        except ArgumentError as error:
            return failed("INVALID_ARGUMENTS", str(error))
        body = _invocation(tool.name, arguments, context).SerializeToString()
        request = Request.of(_INVOKE, body, specified.tool, context)
        try:
            output = await self._gateway.calls.stream(request, partial(_read, progress))
        except CallFailedError as error:
            if error.failure.reason == "NOT_FOUND":
                self._users.pop(context.owner, None)  # what we know of its tools is no longer so
            return outcome(specified.tool, error, untrusted=specified.untrusted)
        return outcome_of_output(specified, output)

    async def _known(self, owner: Owner) -> Mapping[str, Specified]:
        if not self._gateway.enabled:
            return {}
        known = self._users.setdefault(owner, _Known())
        self._users.move_to_end(owner)
        if len(self._users) > _MOST_USERS:
            self._users.popitem(last=False)
        async with known.lock:
            if self._clock() >= known.until:
                await self._ask(owner, known)
        calls = self._gateway.calls
        return {} if calls.is_off(_DESCRIBE) or calls.is_off(_INVOKE) else known.tools

    async def _ask(self, owner: Owner, known: _Known) -> None:
        body = pb.DescribeToolsRequest(user_id=str(owner), known_revision=known.revision)
        request = Request(
            _DESCRIBE,
            body.SerializeToString(),
            (("x-user-id", printable(str(owner))),),
            _DESCRIBE_SECONDS,
            repeatable=True,
            run_id=RunId(f"describe {owner}"),
        )
        try:
            answer = await self._gateway.calls.unary(request, partial(decoded, pb.DescribeToolsResponse()))
        except CallFailedError as error:
            known.tools, known.revision = {}, ""
            if error.failure is not OFF:
                logger.warning("tools cannot be described", extra={"reason": error.failure.reason})
            return
        if not (answer.not_modified and known.revision):
            known.tools = described_tools(answer.tools, self._taken, self._limits)
            known.revision = answer.revision
        known.until = self._clock() + self._ttl(answer)

    def _ttl(self, answer: pb.DescribeToolsResponse) -> float:
        if not answer.HasField("ttl"):
            return self._ttl_seconds
        wanted = answer.ttl.seconds + answer.ttl.nanos / 1e9
        return min(max(wanted, _LEAST_TTL_SECONDS), _MOST_TTL_SECONDS)


def _invocation(name: str, arguments: Arguments, context: ToolContext) -> pb.InvokeToolRequest:
    return pb.InvokeToolRequest(
        tool_call_id=context.tool_call_id,
        tool_name=name,
        arguments=ParseDict(dict(arguments), Struct()),
        user_id=str(context.owner),
        conversation_id=str(context.conversation_id),
        run_id=str(context.run_id),
        permission_id=context.permission_id,
        attempt=context.attempt,
    )


async def _read(progress: Progress, messages: AsyncIterator[bytes]) -> pb.ToolOutput:
    output: pb.ToolOutput | None = None
    async for message in messages:
        event = decoded(pb.InvokeToolResponse(), message)
        if output is not None:
            raise CallFailedError(GARBLED)  # nothing comes after the output
        match event.WhichOneof("event"):
            case "progress":
                progress(event.progress.text[:_LONGEST_PROGRESS], _share(event.progress))
            case "output":
                output = event.output
            case _:
                pass  # of a later contract
    if output is None:
        raise CallFailedError(GARBLED)
    return output


def _share(progress: pb.ToolProgress) -> float | None:
    if not progress.HasField("progress") or not math.isfinite(progress.progress):
        return None
    return min(max(progress.progress, 0.0), 1.0)
