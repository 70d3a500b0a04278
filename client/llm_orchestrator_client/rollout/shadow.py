"""Shadow calls: a copy of a local call goes to the orchestrator, its answer is compared and thrown away.

A copy must never act. The contract's way is `allowed_tools`: the one entry "none" turns every tool off, and
that is what is sent unless the settings name tools that only read. Permissions are never granted, the
conversation is one of its own and deleted afterwards, and operations on documents are dropped like all that
it says.
"""

import asyncio
import difflib
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import uuid4

from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.payloads import Completion, ContentDelta, Event, Failure, ToolCall
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.remote import Remote
from llm_orchestrator_client.values import Channel

logger = logging.getLogger(__name__)

NO_TOOLS = ("none",)


@dataclass(frozen=True, slots=True)
class ShadowSettings:
    """`most` copies at once, others are skipped; each has `timeout_seconds`. `tools`: what a copy may call,
    only tools that read; ("none",) = none at all.
    """

    most: int = 4
    timeout_seconds: float = 60.0
    tools: tuple[str, ...] = NO_TOOLS


@dataclass(slots=True)
class Answer:
    """What one path said. `error`: a gRPC code's number, empty where it ended well; times in seconds."""

    began_at: float
    pieces: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    error: str = ""
    final: str = ""
    first_byte: float | None = None
    seconds: float = 0.0

    def see(self, event: Event) -> None:
        """Take down one event."""
        self.seconds = time.monotonic() - self.began_at
        match event:
            case ContentDelta() if event.channel is not Channel.REASONING and event.text:
                self.pieces.append(event.text)
                if self.first_byte is None:
                    self.first_byte = self.seconds
            case ToolCall():
                self.tools.append(event.tool_name)
            case Completion():
                self.final = event.final_text
            case Failure():
                self.error = event.error.reason or str(event.error.code)

    @property
    def text(self) -> str:
        """The answer."""
        return self.final or "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Both answers to one request. It holds what users said: mind where it goes."""

    request: pb.ChatRequest
    local: Answer
    orchestrator: Answer

    @property
    def same(self) -> bool:
        """Whether both said the same, white space apart, and both ended well."""
        errors = self.local.error or self.orchestrator.error
        return not errors and self.local.text.split() == self.orchestrator.text.split()

    def diff(self) -> str:
        """Line by line, local first; empty where the texts are the same. Takes long for long texts."""
        lines = difflib.unified_diff(
            self.local.text.splitlines(),
            self.orchestrator.text.splitlines(),
            "local",
            "orchestrator",
            lineterm="",
        )
        return "\n".join(lines)


Reports = Callable[[ShadowReport], None]


def log_report(report: ShadowReport) -> None:
    """Log what was compared in numbers, without a word of the answers."""
    logger.info(
        "shadow compared",
        extra={
            "same": report.same,
            "local_characters": len(report.local.text),
            "orchestrator_characters": len(report.orchestrator.text),
            "local_seconds": report.local.seconds,
            "orchestrator_seconds": report.orchestrator.seconds,
            "orchestrator_error": report.orchestrator.error,
        },
    )


class Watched:
    """The local answer of a call that has a shadow. Whoever leaves it early is not compared."""

    def __init__(self) -> None:
        self.answer = Answer(time.monotonic())
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def see(self, event: Event) -> None:
        self.answer.see(event)

    def done(self, *, whole: bool) -> None:
        """The local stream has ended."""
        if self.ended.done():
            return
        if whole:
            self.ended.set_result(None)
        else:
            self.ended.cancel()


class Shadow:
    """Sends copies and compares, in tasks of its own; leaving its context ends them. Nothing of it reaches a
    user.
    """

    def __init__(
        self,
        remote: Remote,
        metrics: RolloutMetrics,
        *,
        settings: ShadowSettings = ShadowSettings(),  # frozen
        reports: Reports = log_report,
    ) -> None:
        self._remote = remote
        self._metrics = metrics
        self._settings = settings
        self._reports = reports
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait for the copies that are under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self, request: pb.ChatRequest) -> Watched | None:
        """Send a copy; None where too many are under way."""
        if len(self._tasks) >= self._settings.most:
            self._metrics.shadows.labels("skipped").inc()
            return None
        watched = Watched()
        task = asyncio.create_task(self._compare(request, watched), name="shadow")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return watched

    async def _compare(self, request: pb.ChatRequest, watched: Watched) -> None:
        answer = await self._asked(shadow_of(request, self._settings.tools))
        await watched.ended
        report = ShadowReport(request, watched.answer, answer)
        result = "failed" if answer.error else "same" if report.same else "different"
        self._metrics.shadows.labels(result).inc()
        self._reports(report)

    async def _asked(self, copy: pb.ChatRequest) -> Answer:
        answer = Answer(time.monotonic())
        stream = self._remote.stream_chat(copy, seconds=self._settings.timeout_seconds, stays=lambda: False)
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    answer.see(event)
        except OrchestratorError as error:
            answer.error = error.reason or error.code.name
        finally:
            await self._forget(copy)
        return answer

    async def _forget(self, copy: pb.ChatRequest) -> None:
        try:
            await self._remote.delete_conversation(copy.user_id, copy.conversation_id, seconds=5.0)
        except OrchestratorError as error:
            logger.info("a shadow's conversation stays", extra={"code": error.code.name})


def shadow_of(request: pb.ChatRequest, tools: tuple[str, ...]) -> pb.ChatRequest:
    """A copy that cannot act: no tools but those, no grants, no conversation of the user's."""
    copy = pb.ChatRequest()
    copy.CopyFrom(request)
    copy.conversation_id = f"shadow-{uuid4().hex}"
    copy.request_id = uuid4().hex
    copy.base_checkpoint_id = ""
    copy.ClearField("permission_grants")
    del copy.allowed_tools[:]
    copy.allowed_tools.extend(tools)
    copy.ClearField("run_options")
    copy.run_options.on_saturated = pb.SATURATION_BEHAVIOR_FAIL
    return copy
