"""Tasks: requests as commands, and how they stand as messages."""

from collections.abc import Mapping
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.codec import pages, permissions, requests, validation
from orchestrator.codec.chunks import FINISH_REASONS, STATES, shown_agent, usage_of
from orchestrator.codec.validation import Violations
from orchestrator.task import TaskCommand, TaskView
from protos import orchestrator_pb2 as pb
from state.models import (
    ConversationId,
    FinishReason,
    Owner,
    Priority,
    RequestKey,
    RunId,
    RunState,
)
from state.tasks import TaskFilter

_PRIORITIES = {"": Priority.NORMAL, "low": Priority.LOW, "normal": Priority.NORMAL, "high": Priority.HIGH}
_TASK_PRIORITIES = {
    pb.TASK_PRIORITY_LOW: Priority.LOW,
    pb.TASK_PRIORITY_NORMAL: Priority.NORMAL,
    pb.TASK_PRIORITY_HIGH: Priority.HIGH,
}
_PRIORITY_VALUES = {priority: value for value, priority in _TASK_PRIORITIES.items()}
_STATES_BY_VALUE = {value: state for state, value in STATES.items()}
_OLD_STATUS = {
    RunState.QUEUED: "queued",
    RunState.SUCCEEDED: "completed",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "failed",
    RunState.EXPIRED: "failed",
}
"""The closed set of old callers, whose loops end by it; whatever else goes on is `running`."""
_ENDED_AS = {
    RunState.CANCELLED: pb.FINISH_REASON_CANCELLED,
    RunState.FAILED: pb.FINISH_REASON_ERROR,
    RunState.EXPIRED: pb.FINISH_REASON_ERROR,
    RunState.WAITING_FOR_PERMISSION: pb.FINISH_REASON_WAITING_FOR_PERMISSION,
}
_HELD = "Held on disk until the database is back"
_SPOOLED = {"spooled": "true"}
_TOLD = {
    RunState.QUEUED: "Waiting for a provider",
    RunState.RUNNING: "Running",
    RunState.WAITING_FOR_PERMISSION: "Waiting for a permission",
}


def start_command(request: pb.TaskRequest) -> TaskCommand:
    """A task, whose request is kept as that of a turn that asks for the same.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
        UnimplementedError: It asks for something this release does not have.
    """
    check = Violations()
    check.one_of("priority", request.priority, _PRIORITIES)
    if request.task_priority not in pb.TaskPriority.values():
        check.add("task_priority", "is no known priority")
    priority = _TASK_PRIORITIES.get(request.task_priority, _PRIORITIES.get(request.priority, Priority.NORMAL))
    if request.priority and request.task_priority and priority != _PRIORITIES.get(request.priority):
        check.add("priority", "disagrees with task_priority")
    _check_labels(check, request.labels)
    queue_seconds = request.queue_timeout.ToNanoseconds() / 1e9
    check.between("queue_timeout", queue_seconds, 0, validation.QUEUE_SECONDS)
    requests.check_permission_timeout(check, "permission_timeout", request.permission_timeout)
    not_before = check.moment("not_before", request.not_before) if request.HasField("not_before") else None
    check.done()
    assignment = requests.turn_assignment(_as_turn(request))
    return TaskCommand(
        assignment=assignment,
        key=requests.request_key("StartTask", request),
        priority=priority,
        not_before=not_before,
        queue_seconds=queue_seconds or None,
        labels=dict(request.labels),
    )


def task_id(request: pb.TaskStatusRequest | pb.WatchTaskRequest | pb.RetryTaskRequest) -> tuple[Owner, RunId]:
    """Whose task, and which.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    validation.check_user(check, request.user_id)
    check.required("task_id", request.task_id)
    check.characters("task_id", request.task_id, validation.ID_CHARACTERS)
    check.done()
    return Owner(request.user_id), RunId(request.task_id)


def retry(request: pb.RetryTaskRequest) -> tuple[Owner, RunId, RequestKey | None]:
    """Whose task, which, and the key of the new one.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    check.characters("request_id", request.request_id, validation.REQUEST_ID_CHARACTERS)
    check.done()
    owner, run_id = task_id(request)
    return owner, run_id, requests.request_key("RetryTask", request)


def cancel(request: pb.CancelTaskRequest) -> tuple[Owner, RunId, bool]:
    """Whose run, which (empty: the one of the request's `request_id`), and whether its step may be finished.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    validation.check_user(check, request.user_id)
    if bool(request.task_id) == bool(request.request_id):
        check.add("task_id", "is required, or request_id, and not both")
    check.characters("task_id", request.task_id, validation.ID_CHARACTERS)
    check.characters("request_id", request.request_id, validation.REQUEST_ID_CHARACTERS)
    check.text("reason", request.reason, validation.PERSONA_CHARACTERS)
    if request.mode not in pb.CancelMode.values():
        check.add("mode", "is no known mode")
    check.done()
    after_step = request.mode == pb.CANCEL_MODE_AFTER_STEP
    return Owner(request.user_id), RunId(request.task_id), after_step


def listing(request: pb.ListTasksRequest) -> tuple[Owner, TaskFilter, tuple[datetime, RunId] | None, int]:
    """Whose tasks, which, after which one, and how many.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    validation.check_user(check, request.user_id)
    check.characters("conversation_id", request.conversation_id, validation.ID_CHARACTERS)
    for index, state in enumerate(request.states):
        if state not in _STATES_BY_VALUE:
            check.add(f"states[{index}]", "is no known state")
    _check_labels(check, request.labels)
    since = (
        check.moment("created_after", request.created_after) if request.HasField("created_after") else None
    )
    check.done()
    wanted = TaskFilter(
        ConversationId(request.conversation_id) if request.conversation_id else None,
        tuple(_STATES_BY_VALUE[state] for state in request.states),
        since,
        dict(request.labels),
    )
    position = pages.page_position(requests.list_scope(request), request.page_token)
    after = pages.moment_and_id(position)
    return (
        Owner(request.user_id),
        wanted,
        after and (after[0], RunId(after[1])),
        pages.page_size(request.page_size),
    )


def listed(request: pb.ListTasksRequest, views: list[TaskView], *, more: bool) -> pb.ListTasksResponse:
    """One page; `more`: it is not the last."""
    position = ""
    if more:
        last = views[-1].row.run
        position = f"{last.create_time.isoformat()} {last.run_id}"
    return pb.ListTasksResponse(
        tasks=[status(view) for view in views],
        next_page_token=pages.page_token(requests.list_scope(request), position),
    )


def started(view: TaskView) -> pb.TaskResponse:
    run = view.row.run
    response = pb.TaskResponse(
        task_id=run.run_id,
        status=_OLD_STATUS.get(run.state, "running"),
        message=_HELD if view.spooled else _TOLD.get(run.state, "Accepted before"),
        state=STATES[run.state],
        deduplicated=view.deduplicated,
        create_time=_timestamp(run.create_time),
        queue_position=view.row.place,
        conversation_id=run.conversation_id,
        metadata=_SPOOLED if view.spooled else None,
    )
    if view.wait_seconds is not None:
        response.estimated_wait.FromNanoseconds(int(view.wait_seconds * 1e9))
    return response


def status(view: TaskView) -> pb.TaskStatusResponse:
    row, run = view.row, view.row.run
    end = pb.ChatChunk.FromString(row.end) if row.end else pb.ChatChunk()
    response = pb.TaskStatusResponse(
        task_id=run.run_id,
        status=_OLD_STATUS.get(run.state, "running"),
        result=row.result,
        error_message=end.error.message,
        metadata=_SPOOLED if view.spooled else end.metadata,
        state=STATES[run.state],
        usage=usage_of(row.usage),
        last_sequence=run.last_sequence,
        attempt=run.attempt,
        conversation_id=run.conversation_id,
        task_priority=_PRIORITY_VALUES[row.priority],
        labels=row.labels,
        finish_reason=_finish_reason(run.state, row.finish_reason),
        queue_position=row.place,
        deferrals=row.deferrals,
        retry_of=row.retry_of or "",
        agent_name=shown_agent(run.agent_name),
        create_time=_timestamp(run.create_time),
        start_time=_timestamp(row.start_time),
        update_time=_timestamp(row.update_time),
        end_time=_timestamp(row.end_time),
    )
    response.pending_permissions.extend(map(permissions.pending, view.pending))
    if end.HasField("error"):
        response.error.CopyFrom(end.error)
    if view.wait_seconds is not None:
        response.estimated_wait.FromNanoseconds(int(view.wait_seconds * 1e9))
    return response


def _as_turn(request: pb.TaskRequest) -> pb.ChatRequest:
    return pb.ChatRequest(
        user_id=request.user_id,
        conversation_id=request.conversation_id,
        query=request.query,
        metadata=request.context,
        request_id=request.request_id,
        agent_type=request.agent_type,
        conversation_history=request.conversation_history,
        permission_grants=request.permission_grants if request.HasField("permission_grants") else None,
        limits=request.limits if request.HasField("limits") else None,
        model=request.model if request.HasField("model") else None,
        allowed_tools=request.allowed_tools,
        run_options=pb.RunOptions(permission_timeout=request.permission_timeout)
        if request.HasField("permission_timeout")
        else None,
        base_checkpoint_id=request.base_checkpoint_id,
        persona=request.persona if request.HasField("persona") else None,
    )


def _check_labels(check: Violations, labels: Mapping[str, str]) -> None:
    if len(labels) > validation.LABELS:
        check.add("labels", f"may have at most {validation.LABELS} entries")
    for name, value in sorted(labels.items()):
        check.required("labels", name)
        check.characters("labels", name, validation.NAME_CHARACTERS)
        check.characters("labels", value, validation.LABEL_CHARACTERS)


def _finish_reason(state: RunState, reason: FinishReason | None) -> "pb.FinishReason.ValueType":
    if reason is not None and state is RunState.SUCCEEDED:
        return FINISH_REASONS[reason]
    return _ENDED_AS.get(state, pb.FINISH_REASON_UNSPECIFIED)


def _timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(time)
    return moment
