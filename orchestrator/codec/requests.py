"""Requests as commands: everything a caller can get wrong is found here."""

import asyncio
import hashlib
from dataclasses import replace

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message as ProtoMessage

from agents.router import EditorHint
from agents.turn import Persona, Turn
from orchestrator.assignment import Assignment
from orchestrator.chat import ChatCommand, OnSaturated
from orchestrator.codec import validation
from orchestrator.codec.attachments import check_attachments, images_of, refuse_documents, texts_of
from orchestrator.codec.editor import check_editor, document_of
from orchestrator.codec.limits import caps_of, check_limits
from orchestrator.codec.readers import check_stream_options
from orchestrator.codec.validation import Violations, check_user, seconds_of
from orchestrator.turns import OnBusy
from protos import orchestrator_pb2 as pb
from providers.pool.choice import PinnedChoice
from state.models import ConversationId, Message, Owner, RequestKey, Role, RunKind

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}

_ON_BUSY: dict[int, OnBusy] = {
    pb.BUSY_BEHAVIOR_UNSPECIFIED: OnBusy.REJECT,
    pb.BUSY_BEHAVIOR_REJECT: OnBusy.REJECT,
    pb.BUSY_BEHAVIOR_WAIT: OnBusy.WAIT,
    pb.BUSY_BEHAVIOR_INTERRUPT: OnBusy.INTERRUPT,
}

_ON_SATURATED: dict[int, OnSaturated] = {
    pb.SATURATION_BEHAVIOR_UNSPECIFIED: OnSaturated.WAIT,
    pb.SATURATION_BEHAVIOR_WAIT: OnSaturated.WAIT,
    pb.SATURATION_BEHAVIOR_FAIL: OnSaturated.FAIL,
    pb.SATURATION_BEHAVIOR_START_TASK: OnSaturated.START_TASK,
}

_GRANTS = {
    "web_search_permission": "web_search",
    "web_crawl_permission": "web_crawl",
    "file_write_permission": "file_write",
    "external_api_permission": "external_api",
}
"""The classes of tools that a grant is named after."""


def chat_command(request: pb.ChatRequest, seconds_left: float | None) -> ChatCommand:
    """A user turn. `seconds_left`: what is left of the caller's deadline; None without one.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
        UnimplementedError: It asks for something this release does not have.
    """
    check = Violations()
    _check_turn(check, request)
    _check_options(check, request)
    check.done()
    refuse_documents(request.attachments)
    continues = request.run_options.on_disconnect == pb.DISCONNECT_BEHAVIOR_CONTINUE
    seconds_left = None if continues else seconds_left
    return ChatCommand(
        assignment=_assignment(request, None if seconds_left is None else _loop_time(seconds_left)),
        continue_on_disconnect=continues,
        on_busy=_ON_BUSY[request.run_options.on_busy],
        on_saturated=_ON_SATURATED[request.run_options.on_saturated],
        key=request_key("StreamChat", request),
        seconds_left=seconds_left,
        max_wait_seconds=seconds_of(request.run_options.max_wait) or None,
        heartbeat_seconds=seconds_of(request.stream_options.heartbeat_interval) or None,
    )


def turn_assignment(request: pb.ChatRequest) -> Assignment:
    """What a task is to do that asks as this turn does.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
        UnimplementedError: It asks for something this release does not have.
    """
    check = Violations()
    _check_turn(check, request)
    check.done()
    refuse_documents(request.attachments)
    return _assignment(request, None)


def request_key(
    method: str,
    request: pb.ChatRequest | pb.TaskRequest | pb.RetryTaskRequest | pb.PermissionApproval,
) -> RequestKey | None:
    """What the request says to be one and the same by; None when it does not."""
    return RequestKey(method, request.request_id, digest(request)) if request.request_id else None


def list_scope(request: pb.ListTasksRequest | pb.PermissionRequest | pb.ListCheckpointsRequest) -> str:
    """A page token is of one list: the same filters by the same user."""
    filters = type(request).FromString(request.SerializeToString())
    filters.ClearField("page_token")
    filters.ClearField("page_size")
    return digest(filters).hex()[:32]


def digest(request: ProtoMessage) -> bytes:
    """Of all that a request asks for; how its answer is to be sent is no part of that."""
    asked = type(request).FromString(request.SerializeToString())
    for name in ("request_id", "stream_options"):
        if name in asked.DESCRIPTOR.fields_by_name:
            asked.ClearField(name)
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()


def _check_turn(check: Violations, request: pb.ChatRequest) -> None:
    _check_identity(check, request)
    check.characters("request_id", request.request_id, validation.REQUEST_ID_CHARACTERS)
    check.required("query", request.query)
    check.text("query", request.query, validation.QUERY_BYTES)
    check.characters("base_checkpoint_id", request.base_checkpoint_id, validation.ID_CHARACTERS)
    check.characters("agent_type", request.agent_type, validation.NAME_CHARACTERS)
    check.characters("locked_agent", request.locked_agent, validation.NAME_CHARACTERS)
    _check_history(check, request)
    _check_persona(check, request.persona)
    _check_model(check, request.model)
    _check_tools(check, request)
    _check_hints(check, request)
    check_limits(check, request.limits)
    check_attachments(check, request.attachments)
    check_editor(check, request.active_editor)


def kept_assignment(kind: RunKind, request: bytes) -> Assignment:
    """What a request asked for that was accepted, read again to go on with its run."""
    assignment = _assignment(pb.ChatRequest.FromString(request), None)
    return replace(assignment, waits=assignment.waits or kind is RunKind.TASK)


def _assignment(request: pb.ChatRequest, deadline: float | None) -> Assignment:
    return Assignment(
        owner=Owner(request.user_id),
        conversation_id=ConversationId(request.conversation_id),
        agent_type=request.agent_type,
        base_checkpoint_id=request.base_checkpoint_id,
        model=_pinned(request.model),
        turn=_turn(request, deadline),
        request=request.SerializeToString(),
        waits=request.run_options.on_saturated != pb.SATURATION_BEHAVIOR_FAIL,
        window_seconds=seconds_of(request.stream_options.coalesce_window) or None,
        caps=caps_of(request.limits),
        currency=request.limits.currency,
        allowed_tools=tuple(request.allowed_tools),
        grants=_grants(request.permission_grants),
        permission_seconds=seconds_of(request.run_options.permission_timeout) or None,
        request_id=request.request_id,
        locked_agent=request.locked_agent,
        document=_document(request),
    )


def _document(request: pb.ChatRequest) -> EditorHint | None:
    """What is open beside the conversation, as far as it says who is to answer."""
    editor = request.active_editor
    if not request.HasField("active_editor") or editor.editor_preference == "ignore":
        return None
    preferred = editor.editor_preference == "prefer"
    return EditorHint(editor.frontmatter.type, editor.language, editor.filename, preferred)


def _grants(grants: pb.PermissionGrants) -> frozenset[str]:
    """The classes that the caller allows; one that is false is as one that is absent."""
    named = {name for field, name in _GRANTS.items() if getattr(grants, field)}
    return frozenset(named | {name for name, granted in grants.custom_permissions.items() if granted})


def _loop_time(seconds_left: float) -> float:
    return asyncio.get_running_loop().time() + seconds_left


def _turn(request: pb.ChatRequest, deadline: float | None) -> Turn:
    persona, model = request.persona, request.model
    return Turn(
        question=request.query,
        history=tuple(Message(_ROLES[m.role], m.content) for m in request.conversation_history),
        persona=Persona(
            ai_name=persona.ai_name,
            style=persona.persona_style,
            political_bias=persona.political_bias,
            timezone=persona.timezone,
            preferences=tuple(sorted(persona.custom_preferences.items())),
        ),
        images=images_of(request.attachments),
        texts=texts_of(request.attachments),
        temperature=model.temperature if model.HasField("temperature") else None,
        seed=model.seed if model.HasField("seed") else None,
        deadline=deadline,
        hints=dict(request.metadata),
        editor=document_of(request),
    )


def _pinned(model: pb.ModelOptions) -> PinnedChoice | None:
    return PinnedChoice(model.model, tuple(model.fallback_models)) if model.model else None


def _check_model(check: Violations, model: pb.ModelOptions) -> None:
    check.characters("model.model", model.model, validation.NAME_CHARACTERS)
    if model.fallback_models and not model.model:
        check.add("model.fallback_models", "need a model that they stand in for")
    if len(model.fallback_models) > validation.FALLBACK_MODELS:
        check.add("model.fallback_models", f"may have at most {validation.FALLBACK_MODELS} entries")
    for index, name in enumerate(model.fallback_models):
        check.required(f"model.fallback_models[{index}]", name)
        check.characters(f"model.fallback_models[{index}]", name, validation.NAME_CHARACTERS)
    if model.HasField("temperature"):
        check.between("model.temperature", model.temperature, 0, 2)


def _check_tools(check: Violations, request: pb.ChatRequest) -> None:
    if len(request.allowed_tools) > validation.TOOLS:
        check.add("allowed_tools", f"may have at most {validation.TOOLS} entries")
    for index, name in enumerate(request.allowed_tools):
        check.required(f"allowed_tools[{index}]", name)
        check.characters(f"allowed_tools[{index}]", name, validation.NAME_CHARACTERS)
    granted = request.permission_grants.custom_permissions
    if len(granted) > validation.TOOLS:
        check.add("permission_grants.custom_permissions", f"may have at most {validation.TOOLS} entries")
    for name in sorted(granted):
        check.characters("permission_grants.custom_permissions", name, validation.NAME_CHARACTERS)


def _check_hints(check: Violations, request: pb.ChatRequest) -> None:
    if len(request.metadata) > validation.HINTS:
        check.add("metadata", f"may have at most {validation.HINTS} entries")
        return
    for name, value in sorted(request.metadata.items()):
        check.characters("metadata", name, validation.NAME_CHARACTERS)
        check.text(f"metadata.{name[: validation.NAME_CHARACTERS]}", value, validation.HINT_BYTES)


def _check_identity(check: Violations, request: pb.ChatRequest) -> None:
    check_user(check, request.user_id)
    check.characters("conversation_id", request.conversation_id, validation.ID_CHARACTERS)


def _check_history(check: Violations, request: pb.ChatRequest) -> None:
    if len(request.conversation_history) > validation.HISTORY_MESSAGES:
        check.add("conversation_history", f"may have at most {validation.HISTORY_MESSAGES} messages")
        return
    for index, message in enumerate(request.conversation_history):
        field = f"conversation_history[{index}]"
        check.one_of(f"{field}.role", message.role, _ROLES)
        check.text(f"{field}.content", message.content, validation.HISTORY_MESSAGE_BYTES)


def _check_persona(check: Violations, persona: pb.UserPersona) -> None:
    for field in ("ai_name", "persona_style", "political_bias", "timezone"):
        check.characters(f"persona.{field}", getattr(persona, field), validation.PERSONA_CHARACTERS)
    if len(persona.custom_preferences) > validation.PREFERENCES:
        check.add("persona.custom_preferences", f"may have at most {validation.PREFERENCES} entries")
    for name, value in sorted(persona.custom_preferences.items()):
        check.characters("persona.custom_preferences", name, validation.NAME_CHARACTERS)
        check.characters("persona.custom_preferences", value, validation.PERSONA_CHARACTERS)


def _check_options(check: Violations, request: pb.ChatRequest) -> None:
    check_stream_options(check, request.stream_options)
    run = request.run_options
    if run.on_disconnect not in pb.DisconnectBehavior.values():
        check.add("run_options.on_disconnect", "is no known behaviour")
    if run.on_saturated not in _ON_SATURATED:
        check.add("run_options.on_saturated", "is no known behaviour")
    if run.on_busy not in _ON_BUSY:
        check.add("run_options.on_busy", "is no known behaviour")
    check_permission_timeout(check, "run_options.permission_timeout", run.permission_timeout)
    check.between("run_options.max_wait", seconds_of(run.max_wait), 0, validation.MAX_WAIT_SECONDS)


def check_permission_timeout(check: Violations, field: str, timeout: Duration) -> None:
    """How long a person may take."""
    check.between(field, seconds_of(timeout), 0, validation.PERMISSION_SECONDS)
