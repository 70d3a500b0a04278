"""Requests of those who read what is there: a run's log, a conversation."""

from orchestrator.codec import validation
from orchestrator.codec.chunks import ReaderOptions
from orchestrator.codec.validation import Violations, check_user, seconds_of
from orchestrator.resume import ResumeCommand
from protos import orchestrator_pb2 as pb
from state.models import ConversationId, Owner, RunId


def resume_command(request: pb.ResumeStreamRequest) -> ResumeCommand:
    """Which log to read again.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    check_user(check, request.user_id)
    check.characters("run_id", request.run_id, validation.ID_CHARACTERS)
    check.characters("conversation_id", request.conversation_id, validation.ID_CHARACTERS)
    if not request.run_id and not request.conversation_id:
        check.add("run_id", "is required, or conversation_id")
    if request.after_sequence < 0:
        check.add("after_sequence", "may not be negative")
    check_stream_options(check, request.stream_options)
    check.done()
    return ResumeCommand(
        owner=Owner(request.user_id),
        run_id=RunId(request.run_id),
        conversation_id=ConversationId(request.conversation_id),
        after=request.after_sequence,
        heartbeat_seconds=seconds_of(request.stream_options.heartbeat_interval) or None,
    )


def watch_command(request: pb.WatchTaskRequest) -> ResumeCommand:
    """Which task's log to read.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    return resume_command(
        pb.ResumeStreamRequest(
            user_id=request.user_id,
            run_id=request.task_id,
            after_sequence=request.after_sequence,
            stream_options=request.stream_options,
        )
    )


def conversation(
    request: pb.ListCheckpointsRequest | pb.DeleteConversationRequest,
) -> tuple[Owner, ConversationId]:
    """Whose conversation, and which.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    check_user(check, request.user_id)
    check.required("conversation_id", request.conversation_id)
    check.characters("conversation_id", request.conversation_id, validation.ID_CHARACTERS)
    check.done()
    return Owner(request.user_id), ConversationId(request.conversation_id)


def reader_options(options: pb.StreamOptions) -> ReaderOptions:
    return ReaderOptions(options.include_reasoning, options.structured_only)


def check_stream_options(check: Violations, options: pb.StreamOptions) -> None:
    """How a stream is to come."""
    check.between("stream_options.coalesce_window", seconds_of(options.coalesce_window), 0, 1)
    if heartbeat := seconds_of(options.heartbeat_interval):
        check.between("stream_options.heartbeat_interval", heartbeat, validation.HEARTBEAT_SECONDS, 3600)
