"""Work in the background: 200 when it runs, 202 when it waits, 503 when there is no room to wait in."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Response

from backend.event_stream import EventStream
from backend.parts import Parts
from backend.plain import first, json_response, plain
from backend.problems import ProblemError, retry_after
from backend.requests import LastEventID, message_of
from backend.sessions import Who
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.records import StartedTask
from llm_orchestrator_client.values import TaskState

_REFUSED = ("permission_grants",)
_MOST = 200
_LOOK_AGAIN_SECONDS = 5


class TaskRoutes:
    """Tasks have no local path: while the orchestrator is switched off none is begun."""

    def __init__(self, parts: Parts) -> None:
        self._tasks = parts.client.tasks
        self._flags = parts.rollout.flags
        self._silence = parts.settings.server.silence_seconds

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(prefix="/tasks", tags=["tasks"])
        for path, endpoint, method in (
            ("", self.start, "POST"),
            ("", self.list, "GET"),
            ("/{task_id}", self.status, "GET"),
            ("/{task_id}", self.cancel, "DELETE"),
            ("/{task_id}/events", self.events, "GET"),
        ):
            router.add_api_route(path, endpoint, methods=[method], response_class=Response)
        return router

    async def start(self, who: Who, body: dict[str, Any]) -> Response:
        """Begin a task: a TaskRequest as JSON."""
        if not self._flags.now()[0]:
            headers = {"Retry-After": retry_after(None, default=60)}
            status, detail = HTTPStatus.SERVICE_UNAVAILABLE, "the orchestrator is switched off"
            raise ProblemError(status, detail, reason="ORCHESTRATOR_OFF", headers=headers)
        request = message_of(body, pb.TaskRequest(), refused=_REFUSED)
        request.user_id = who.user_id
        request.request_id = request.request_id or uuid4().hex
        return _started(await self._tasks.start(request))

    async def list(
        self,
        who: Who,
        conversation_id: str = "",
        state: Annotated[tuple[str, ...], Query()] = (),
        label: Annotated[tuple[str, ...], Query()] = (),
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    ) -> Response:
        """The caller's tasks, the newest first. `label` is key:value; `state` a name, as RUNNING."""
        labels = dict(text.partition(":")[::2] for text in label)
        found = self._tasks.list(
            user_id=who.user_id,
            conversation_id=conversation_id,
            states=[_state(name) for name in state],
            labels=labels,
            page_size=limit,
        )
        return json_response({"tasks": await first(found, limit)})

    async def status(self, who: Who, task_id: str) -> Response:
        """A task, or a chat's run, as it stands."""
        return json_response(plain(await self._tasks.status(task_id, user_id=who.user_id)))

    async def cancel(self, who: Who, task_id: str) -> Response:
        """Stop it: 200 when that is done, or it was over; 202 while it is being stopped."""
        task = await self._tasks.cancel(task_id, user_id=who.user_id, reason="by the user")
        status = HTTPStatus.OK if task.state.terminal else HTTPStatus.ACCEPTED
        return json_response(plain(task), status)

    async def events(self, who: Who, task_id: str, after: LastEventID) -> Response:
        """A `snapshot`, then its events after Last-Event-ID, to its end. Leaving it cancels nothing."""
        events = self._tasks.watch(task_id, user_id=who.user_id, after_sequence=after)
        return EventStream(events, silence_seconds=self._silence)


def _started(task: StartedTask) -> Response:
    queued = task.state is TaskState.QUEUED
    headers = {"Location": f"/tasks/{task.task_id}"}
    if queued:
        headers["Retry-After"] = retry_after(task.estimated_wait, default=_LOOK_AGAIN_SECONDS)
    body = {**plain(task), **({"queue_id": task.task_id} if queued else {})}
    return json_response(body, HTTPStatus.ACCEPTED if queued else HTTPStatus.OK, headers)


def _state(name: str) -> TaskState:
    try:
        return TaskState[name.upper()]
    except KeyError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"state: one of {', '.join(TaskState.__members__)}"
        ) from error
