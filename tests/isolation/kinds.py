"""What each text of a request is: an id of something that somebody owns, or none."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor

from protos import orchestrator_pb2 as pb

SERVICE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["OrchestratorService"]
METHODS: Mapping[str, MethodDescriptor] = {method.name: method for method in SERVICE.methods}


class Kind(StrEnum):
    """What an id names. NOTHING: the service looks nothing up by it."""

    USER = "user"
    CONVERSATION = "conversation"
    RUN = "run"
    PERMISSION = "permission"
    CHECKPOINT = "checkpoint"
    PAGE = "page"
    KEY = "key"
    DIGEST = "digest"
    LABEL = "label"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one message: ids by their kind, and the names of those that are none."""

    ids: Mapping[str, Kind]
    none: str = ""

    @property
    def names(self) -> list[str]:
        return [*self.ids, *self.none.split()]


_WHO = {"user_id": Kind.USER}
_TALK = {**_WHO, "conversation_id": Kind.CONVERSATION}
_TASK = {**_WHO, "task_id": Kind.RUN}
_BEGUN = {**_TALK, "request_id": Kind.KEY, "base_checkpoint_id": Kind.CHECKPOINT}

TEXTS: Mapping[str, Texts] = {
    "ChatRequest": Texts(
        {**_BEGUN, "session_id": Kind.NOTHING},
        "query agent_type routing_reason locked_agent allowed_tools metadata",
    ),
    "TaskRequest": Texts(_BEGUN, "query priority context agent_type allowed_tools labels"),
    "TaskStatusRequest": Texts(_TASK),
    "WatchTaskRequest": Texts(_TASK),
    "CancelTaskRequest": Texts({**_TASK, "request_id": Kind.KEY}, "reason"),
    "RetryTaskRequest": Texts({**_TASK, "request_id": Kind.KEY}),
    "ResumeStreamRequest": Texts({**_TALK, "run_id": Kind.RUN}),
    "ListTasksRequest": Texts({**_TALK, "page_token": Kind.PAGE, "labels": Kind.LABEL}),
    "ListCheckpointsRequest": Texts({**_TALK, "page_token": Kind.PAGE}),
    "DeleteConversationRequest": Texts(_TALK),
    "GetUsageRequest": Texts(_WHO),
    "PermissionRequest": Texts({**_TALK, "run_id": Kind.RUN, "page_token": Kind.PAGE}),
    "PermissionApproval": Texts(
        {
            **_TALK,
            "session_id": Kind.NOTHING,
            "permission_id": Kind.PERMISSION,
            "arguments_digest": Kind.DIGEST,
            "request_id": Kind.KEY,
        },
        "approval_decision operation_type reason edited_arguments",
    ),
    "Attachment": Texts({"document_id": Kind.NOTHING}, "mime_type name data"),
    "ActiveEditor": Texts(
        {"document_id": Kind.NOTHING, "folder_id": Kind.NOTHING},
        "filename language content editor_preference canonical_path file_path",
    ),
    "PipelineContext": Texts(
        {"active_pipeline_id": Kind.NOTHING}, "pipeline_preference pipeline_name pipeline_variables"
    ),
    "PendingOperationInfo": Texts({"id": Kind.NOTHING}, "type summary status created_at metadata"),
    "CachedResult": Texts(
        {"content_hash": Kind.NOTHING}, "content result_type source_agent timestamp topics citations"
    ),
    "ConversationMessage": Texts({}, "role content timestamp metadata"),
    "UserPersona": Texts({}, "ai_name persona_style political_bias timezone custom_preferences"),
    "EditorFrontmatter": Texts({}, "type title author tags status custom_fields"),
    "PermissionGrants": Texts({}, "custom_permissions"),
    "ConversationIntelligence": Texts({}, "last_updated"),
    "TopicContinuity": Texts({}, "current_topic topic_history"),
    "TopicTransition": Texts({}, "from_topic to_topic timestamp reason"),
    "ResearchCache": Texts({}, "query_results source_cache coverage_scores"),
    "RunLimits": Texts({}, "currency"),
    "ModelOptions": Texts({}, "model fallback_models"),
}
"""Every message of a request that has texts."""

_FREE = (
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
    "google.protobuf.Any",
)


@dataclass(frozen=True, slots=True)
class Field:
    """A text somewhere in a request: the dotted path to it, and where its meaning stands in TEXTS."""

    path: str
    message: str
    name: str

    @property
    def kind(self) -> Kind | None:
        return TEXTS[self.message].ids.get(self.name)


def texts_of(message: Descriptor, path: str = "") -> Iterator[Field]:
    """Every text of a message and of the messages in it; the contract's have no cycles."""
    for field in message.fields:
        here = f"{path}{field.name}"
        if _is_text(field):
            yield Field(here, message.name, field.name)
        elif field.message_type is not None and field.message_type.file.name == pb.DESCRIPTOR.name:
            yield from texts_of(field.message_type, f"{here}.")


def ids_of(method: str) -> dict[str, Kind]:
    """The kinds of the ids in a method's request, by their paths."""
    fields = texts_of(METHODS[method].input_type)
    return {field.path: field.kind for field in fields if field.kind is not None}


def _is_text(field: FieldDescriptor) -> bool:
    if field.message_type is None:
        return field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    return field.message_type.GetOptions().map_entry or field.message_type.full_name in _FREE
