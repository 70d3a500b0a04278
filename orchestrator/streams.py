"""Logs of runs as streams of chunks."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

import grpc

from orchestrator.codec import chunks, errors
from orchestrator.places import Place
from orchestrator.reading import BecameTask, Reading
from protos import orchestrator_pb2 as pb
from state.models import ConversationId, RunId

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class LoggedRun(Protocol):
    """What a stream must know of the run whose log it reads."""

    @property
    def run_id(self) -> RunId: ...
    @property
    def conversation_id(self) -> ConversationId: ...
    @property
    def agent_name(self) -> str: ...


async def introduce(run: LoggedRun, context: Context) -> None:
    """Name the run in the initial metadata, before anything else is sent."""
    await context.send_initial_metadata(
        (("x-run-id", run.run_id), ("x-conversation-id", _for_metadata(run.conversation_id)))
    )


async def chunks_of(
    run: LoggedRun,
    log: Reading,
    options: chunks.ReaderOptions,
    *,
    after: int = 0,
    suspended: Callable[[], Awaitable[bool]] | None = None,
) -> AsyncGenerator[pb.ChatChunk]:
    """A log as its reader wants it; the last one may stand for a status, which `end_as` sends.

    With `suspended`, which says whether the run still waits for a person, the stream ends where it does.
    """
    agent_name = run.agent_name
    async with aclosing(log) as records:
        async for record in records:
            if record is None:
                yield chunks.heartbeat(run.run_id, agent_name, options)
                continue
            if isinstance(record, BecameTask):
                yield chunks.became_task(record, agent_name, options)
                return
            if isinstance(record, Place):
                yield chunks.in_line(run.run_id, agent_name, record, options)
                continue
            if record.sequence > after + 1:  # a log has no gaps but those that retention makes
                yield chunks.pruned(run.run_id, agent_name, record.sequence, options)
            after = record.sequence
            chunk = chunks.decode(record.payload, options)
            agent_name = chunk.agent_name
            yield chunk
            if suspended and chunks.waits_for_a_person(chunk) and await suspended():
                yield chunks.suspended(run.run_id, agent_name, options)
                return


def _for_metadata(name: str) -> str:
    """Metadata holds ASCII: a name with other characters, or a %, is percent-encoded there."""
    return name if name.isascii() and "%" not in name else quote(name)


async def end_as(chunk: pb.ChatChunk, context: Context) -> None:
    """End the call with the status that the last chunk of a log stands for."""
    if chunk.HasField("error"):
        await context.abort_with_status(errors.grpc_status_of_detail(chunk.error))
