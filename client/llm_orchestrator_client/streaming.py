"""A run's events as a caller reads them: they resume by themselves and, left early, cancel their run."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

import grpc

from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.errors import NotFoundError, OrchestratorError
from llm_orchestrator_client.events import Completion, Event, StatusUpdate, event_of
from llm_orchestrator_client.position import Position
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.reading import Reader, passing
from llm_orchestrator_client.transcript import Transcript
from llm_orchestrator_client.values import FinishReason, TaskState


class RunStream(AsyncIterator[Event]):
    """The events of one run, each once and in order. Iterate it inside `async with`.

    Leaving early, by `break`, an exception or the cancellation of the task, cancels the run of a chat (unless
    it was told to keep running) and otherwise only stops reading. `transcript` has the text so far, without
    what a `StreamReset` has made void.
    """

    def __init__(self, events: AsyncGenerator[Event], position: Position) -> None:
        self._events = events
        self._position = position
        self.transcript = Transcript()

    @property
    def run_id(self) -> str:
        """Empty until a server has named it; a task's id for a task."""
        return self._position.run_id

    @property
    def conversation_id(self) -> str:
        """Empty until a server has named it."""
        return self._position.conversation_id

    @property
    def sequence(self) -> int:
        """The last one read: what to resume after."""
        return self._position.sequence

    async def text(self) -> str:
        """Read to the end; the whole answer.

        Raises:
            OrchestratorError: As reading does.
        """
        async with self:
            async for _ in self:
                pass
        final = self.transcript.final_text
        return self.transcript.text if final is None else final

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await anext(self._events)
        self.transcript.add(event)
        return event

    async def aclose(self) -> None:
        """Stop reading."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class ResumeSource:
    """A run's log from any position. `conversation_id`, without a run: the newest of that conversation."""

    def __init__(
        self, connection: Connection, user_id: str, *, options: pb.StreamOptions | None = None
    ) -> None:
        self._connection = connection
        self._user_id = user_id
        self._options = options

    async def open(self, position: Position, seconds: float | None) -> "grpc.aio.UnaryStreamCall[Any, Any]":
        request = pb.ResumeStreamRequest(
            user_id=self._user_id,
            run_id=position.run_id,
            conversation_id="" if position.run_id else position.conversation_id,
            after_sequence=position.sequence,
            stream_options=self._options,
        )
        return await self._connection.open(self._connection.stub.ResumeStream, request, seconds=seconds)

    async def events(self, message: pb.ChatChunk, position: Position) -> list[Event]:
        del position
        return [event_of(message)]


class ChatSource:
    """A chat's own stream, and its log once something of it was read.

    Before that the same request is sent again: its request_id makes it the same run.
    """

    def __init__(self, connection: Connection, request: pb.ChatRequest) -> None:
        self._connection = connection
        self._request = request
        self._log = ResumeSource(connection, request.user_id, options=request.stream_options)
        self._resumed = False

    async def open(self, position: Position, seconds: float | None) -> "grpc.aio.UnaryStreamCall[Any, Any]":
        self._resumed = position.sequence > 0
        if self._resumed:
            return await self._log.open(position, seconds)
        return await self._connection.open(self._connection.stub.StreamChat, self._request, seconds=seconds)

    async def events(self, message: pb.ChatChunk, position: Position) -> list[Event]:
        """A chat's stream ends where the run waits for a person; a resumed one would stay open there."""
        event = event_of(message)
        if not self._resumed or not _waits(event) or not await self._still_waits(position):
            return [event]
        end = Completion(
            FinishReason.WAITING_FOR_PERMISSION,
            run_id=position.run_id,
            agent_name=event.agent_name,
            metadata={"task_status": "permission_required"},
        )
        return [event, end]

    async def _still_waits(self, position: Position) -> bool:
        request = pb.TaskStatusRequest(task_id=position.run_id, user_id=self._request.user_id)
        status = await self._connection.call(self._connection.stub.GetTaskStatus, request)
        return status.state == pb.TASK_STATE_WAITING_FOR_PERMISSION


def _waits(event: Event) -> bool:
    return isinstance(event, StatusUpdate) and event.state is TaskState.WAITING_FOR_PERMISSION


# Seconds that a run which no server has named is looked for. It may be about to begin.
_UNSEEN = 1.0


class Leaving:
    """Cancels the runs of chats that were left. It owns what it begins until `aclose`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: set[asyncio.Task[None]] = set()

    def cancel(self, request: pb.ChatRequest, position: Position) -> "asyncio.Task[None]":
        """Begin to cancel that chat's run; done when a server has said yes or it was tried long enough."""
        task = asyncio.create_task(self._cancel(request, position), name="cancel-left-run")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Wait for what is still under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cancel(self, request: pb.ChatRequest, position: Position) -> None:
        patience = self._connection.options.patience
        wanted = pb.CancelTaskRequest(
            user_id=request.user_id,
            task_id=position.run_id,
            request_id="" if position.run_id else request.request_id,
            reason="the caller has left",
        )
        delay = patience.first_delay
        try:
            async with asyncio.timeout(patience.leave if position.accepted else min(patience.leave, _UNSEEN)):
                while not await self._cancelled(wanted):
                    await asyncio.sleep(delay)
                    delay *= 2
        except TimeoutError:
            pass  # nobody can be told: the run ends as its limits say

    async def _cancelled(self, wanted: pb.CancelTaskRequest) -> bool:
        """Whether that is settled. A run that was just asked for may not exist yet, and begin after all."""
        try:
            await self._connection.call(self._connection.stub.CancelTask, wanted)
        except NotFoundError:
            return bool(wanted.task_id)
        except OrchestratorError as error:
            return not passing(error)
        return True


async def chat_events(
    reader: Reader, position: Position, request: pb.ChatRequest, leaving: Leaving | None
) -> AsyncGenerator[Event]:
    """A chat's events; whoever stops before the end has its run cancelled, unless `leaving` is None."""
    settled = False
    try:
        async with aclosing(reader.events()) as events:
            async for event in events:
                settled = position.end is not None
                yield event
        settled = True
    except OrchestratorError as error:
        if not settled and passing(error) and leaving is not None:
            leaving.cancel(request, position)  # it may run on: the error does not wait for that
        settled = True
        raise
    finally:
        if not settled and leaving is not None:
            await asyncio.shield(leaving.cancel(request, position))  # who waits may be cancelled, this not
