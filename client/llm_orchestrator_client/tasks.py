"""Work in the background: start it, follow it, cancel it, list it, begin it anew."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

import grpc

from llm_orchestrator_client import pages
from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.events import Event, event_of
from llm_orchestrator_client.position import Position
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.reading import Reader
from llm_orchestrator_client.records import StartedTask, Task, started_task_of, task_of
from llm_orchestrator_client.streaming import RunStream
from llm_orchestrator_client.values import TaskState


@dataclass(frozen=True)
class TaskSnapshot(Event):
    """A task as it stood when its watching began: the first event of `watch`."""

    KIND: ClassVar[str] = "snapshot"

    task: Task = field(kw_only=True)


class Tasks:
    """The tasks of one connection. `user_id`, in each call, names the owner; empty = the options'."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = connection.stub

    async def start(
        self,
        query: str | pb.TaskRequest,
        *,
        user_id: str = "",
        conversation_id: str = "",
        agent_type: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> StartedTask:
        """Begin a task; it survives any crash from then on. A TaskRequest says all that the contract has.

        Without a request_id one is made, so that the call may be repeated when its answer is lost.

        Raises:
            SaturatedError: The line is full; `retry_after` says when to come back.
            QuotaError: The user's quota is used up.
            AlreadyExistsError: The request_id was used for something else.
            OrchestratorError: As its other classes say.
        """
        request = pb.TaskRequest()
        if isinstance(query, str):
            request.query = query
        else:
            request.CopyFrom(query)
        request.user_id = user_id or request.user_id or self._connection.options.user_id
        request.conversation_id = conversation_id or request.conversation_id
        request.agent_type = agent_type or request.agent_type
        request.request_id = request_id or request.request_id or uuid4().hex
        request.labels.update(labels or {})
        return started_task_of(await self._connection.call(self._stub.StartTask, request))

    async def status(self, task_id: str, *, user_id: str = "") -> Task:
        """A task, or a chat run, as it stands.

        Raises:
            NotFoundError: No such task of this user.
            OrchestratorError: As its other classes say.
        """
        request = pb.TaskStatusRequest(task_id=task_id, user_id=self._owner(user_id))
        return task_of(await self._connection.call(self._stub.GetTaskStatus, request))

    def watch(
        self, task_id: str, *, user_id: str = "", after_sequence: int = 0, seconds: float | None = None
    ) -> RunStream:
        """Follow a task, or a chat run, to its end: a `TaskSnapshot`, then what its log has after a sequence.

        One that is over is replayed. A lost connection is taken up by sequence. Leaving cancels nothing.
        Iterating raises as a chat does: the run's own error, after its `Failure`.
        """
        position = Position(run_id=task_id, sequence=after_sequence)
        source = _WatchSource(self._connection, self._owner(user_id))
        reader = Reader(source, position, self._connection.options.patience, seconds=seconds)
        return RunStream(reader.events(), position)

    async def cancel(
        self,
        task_id: str = "",
        *,
        request_id: str = "",
        user_id: str = "",
        reason: str = "",
        after_step: bool = False,
    ) -> Task:
        """Stop a task, or a chat run; it may be CANCELLING when this returns. One that is over stays so.

        `request_id`, instead of the task's id: the run that this key began. `after_step`: not in the middle
        of a step, but at its end.

        Raises:
            NotFoundError: No such run of this user.
            OrchestratorError: As its other classes say.
        """
        mode = pb.CANCEL_MODE_AFTER_STEP if after_step else pb.CANCEL_MODE_IMMEDIATE
        request = pb.CancelTaskRequest(
            task_id=task_id, request_id=request_id, user_id=self._owner(user_id), reason=reason, mode=mode
        )
        return task_of((await self._connection.call(self._stub.CancelTask, request)).task)

    async def retry(
        self, task_id: str, *, user_id: str = "", from_start: bool = False, request_id: str = ""
    ) -> Task:
        """A new task of one that failed, was cancelled or expired.

        Raises:
            PreconditionError: In any other state, or the conversation has moved on and not `from_start`.
            OrchestratorError: As its other classes say.
        """
        request = pb.RetryTaskRequest(
            task_id=task_id,
            user_id=self._owner(user_id),
            from_start=from_start,
            request_id=request_id or uuid4().hex,
        )
        return task_of((await self._connection.call(self._stub.RetryTask, request)).task)

    async def list(
        self,
        *,
        user_id: str = "",
        conversation_id: str = "",
        states: Sequence[TaskState] = (),
        labels: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        page_size: int = 0,
    ) -> AsyncGenerator[Task]:
        """The user's tasks, the newest first, page after page as they are needed."""
        request = pb.ListTasksRequest(
            user_id=self._owner(user_id),
            conversation_id=conversation_id,
            states=[pb.TaskState.ValueType(state) for state in states],
            labels=labels,
            page_size=page_size,
        )
        if created_after is not None:
            request.created_after.FromDatetime(created_after)
        found = pages.items(self._fetch, request, lambda page: map(task_of, page.tasks))
        async with aclosing(found) as tasks:
            async for task in tasks:
                yield task

    async def _fetch(self, request: pb.ListTasksRequest) -> pb.ListTasksResponse:
        return await self._connection.call(self._stub.ListTasks, request)

    def _owner(self, user_id: str) -> str:
        return user_id or self._connection.options.user_id


class _WatchSource:
    """WatchTask; the snapshot is told once, however often the stream is taken up."""

    def __init__(self, connection: Connection, user_id: str) -> None:
        self._connection = connection
        self._user_id = user_id
        self._told = False

    async def open(self, position: Position, seconds: float | None) -> "grpc.aio.UnaryStreamCall[Any, Any]":
        request = pb.WatchTaskRequest(
            task_id=position.run_id, user_id=self._user_id, after_sequence=position.sequence
        )
        return await self._connection.open(self._connection.stub.WatchTask, request, seconds=seconds)

    async def events(self, message: pb.WatchTaskResponse, position: Position) -> list[Event]:
        if message.HasField("chunk"):
            return [event_of(message.chunk)]
        if self._told or not message.HasField("snapshot"):
            return []
        self._told = True
        task = task_of(message.snapshot)
        position.conversation_id = task.conversation_id
        return [TaskSnapshot(task=task, run_id=task.task_id, agent_name=task.agent_name)]
