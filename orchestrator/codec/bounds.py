"""The largest that every field of every request may be, whether or not anything reads it.

What a field means is checked where it is read. This is before that and total: a field that nobody reads yet
is kept with its run all the same, and one that is not listed here is a defect that a test finds.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from orchestrator.codec import validation
from state.errors import InvalidRequestError
from state.violations import FieldViolation

_STRUCT_BYTES = 1 << 20
_PAGE_TOKEN_CHARACTERS = 4096
_DATA_BYTES = 16 << 20
_ENTRIES = 256
_LONG_CHARACTERS = 1 << 20
_NAME = validation.NAME_CHARACTERS
_ID = validation.ID_CHARACTERS
_WORDS = validation.PERSONA_CHARACTERS
_PATH = validation.PATH_CHARACTERS
_TIME_CHARACTERS = 64
_SUMMARY_CHARACTERS = 16 << 10

LONGEST: Mapping[str, int] = MappingProxyType(
    {
        "agent_type": _NAME,
        "approval_decision": _NAME,
        "citations": _PATH,
        "content": _LONG_CHARACTERS,
        "content_hash": _ID,
        "conversation_id": _ID,
        "created_at": _TIME_CHARACTERS,
        "current_topic": _WORDS,
        "editor_preference": _NAME,
        "from_topic": _WORDS,
        "id": _ID,
        "last_updated": _TIME_CHARACTERS,
        "locked_agent": _NAME,
        "mime_type": _NAME,
        "name": _NAME,
        "operation_type": _NAME,
        "page_token": _PAGE_TOKEN_CHARACTERS,
        "permission_id": _ID,
        "pipeline_name": _ID,
        "pipeline_preference": _NAME,
        "active_pipeline_id": _ID,
        "priority": _NAME,
        "query": validation.QUERY_BYTES,
        "reason": _WORDS,
        "request_id": validation.REQUEST_ID_CHARACTERS,
        "result_type": _NAME,
        "role": _NAME,
        "routing_reason": _WORDS,
        "run_id": _ID,
        "session_id": _ID,
        "source_agent": _NAME,
        "status": _WORDS,
        "summary": _SUMMARY_CHARACTERS,
        "task_id": _ID,
        "timestamp": _TIME_CHARACTERS,
        "to_topic": _WORDS,
        "topic_history": _WORDS,
        "topics": _WORDS,
        "type": _WORDS,
        "user_id": _ID,
        # Those that only one message has, or that mean something else there.
        "allowed_tools": _NAME,
        "ai_name": _WORDS,
        "arguments_digest": validation.DIGEST_CHARACTERS,
        "author": _WORDS,
        "base_checkpoint_id": _ID,
        "canonical_path": _PATH,
        "currency": _NAME,
        "data": _DATA_BYTES,
        "document_id": _PATH,
        "fallback_models": _NAME,
        "file_path": _PATH,
        "filename": _PATH,
        "folder_id": _PATH,
        "language": _PATH,
        "model": _NAME,
        "persona_style": _WORDS,
        "political_bias": _WORDS,
        "tags": _NAME,
        "timezone": _WORDS,
        "title": _WORDS,
    }
)
"""The most characters of a text, or bytes of data, by the field's name; of each entry of a repeated one."""

MOST: Mapping[str, int] = MappingProxyType(
    {
        "allowed_tools": validation.TOOLS,
        "attachments": 2 * validation.ATTACHMENTS,
        "cached_results": _ENTRIES,
        "citations": _ENTRIES,
        "context": validation.HINTS,
        "conversation_history": validation.HISTORY_MESSAGES,
        "coverage_scores": _ENTRIES,
        "custom_fields": validation.FRONT_MATTER_ENTRIES,
        "custom_permissions": validation.TOOLS,
        "custom_preferences": validation.PREFERENCES,
        "fallback_models": validation.FALLBACK_MODELS,
        "labels": validation.LABELS,
        "metadata": validation.HINTS,
        "pending_operations": _ENTRIES,
        "pipeline_variables": _ENTRIES,
        "query_results": _ENTRIES,
        "source_cache": _ENTRIES,
        "states": _ENTRIES,
        "tags": validation.FRONT_MATTER_ENTRIES,
        "topic_history": _ENTRIES,
        "topic_transitions": _ENTRIES,
        "topics": _ENTRIES,
    }
)
"""The most entries of a repeated field or a map, by its name."""

VALUES: Mapping[str, int] = MappingProxyType(
    {
        "context": validation.HINT_BYTES,
        "custom_fields": validation.FRONT_MATTER_CHARACTERS,
        "custom_preferences": _WORDS,
        "labels": validation.LABEL_CHARACTERS,
        "metadata": validation.HINT_BYTES,
        "pipeline_variables": _LONG_CHARACTERS,
        "query_results": _LONG_CHARACTERS,
        "source_cache": _LONG_CHARACTERS,
    }
)
"""The most characters of each value of a map of texts, by its name. Its keys are names."""

STRUCTS: Mapping[str, int] = MappingProxyType({"edited_arguments": _STRUCT_BYTES})
"""The most bytes of a google.protobuf.Struct as the wire has it, by the field's name."""

KEY_CHARACTERS = 2 * _PATH
"""Of a map's key; the sources of earlier research are keyed by their addresses."""


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def check_bounds(request: Message) -> None:
    """Refuse a request of which any field is larger than it may be.

    Raises:
        InvalidRequestError: With every field that is; of a repeated field only the first entry that is.
    """
    if found := list(_too_large(request, "")):
        raise InvalidRequestError(*found)


def _too_large(message: Message, path: str) -> Iterator[FieldViolation]:
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if field.name in STRUCTS:
            if value.ByteSize() > STRUCTS[field.name]:
                yield FieldViolation(name, f"may have at most {STRUCTS[field.name]} bytes")
        elif field.is_repeated:
            yield from _of_many(field, value, name)
        elif field.message_type is not None:
            yield from _too_large(value, f"{name}.")
        elif isinstance(value, str | bytes):
            yield from _of_text(name, value, LONGEST[field.name])


def _of_many(field: FieldDescriptor, value: Any, name: str) -> Iterator[FieldViolation]:  # noqa: ANN401
    entries = sorted(value.items()) if is_map(field) else list(value)
    if len(entries) > MOST[field.name]:
        yield FieldViolation(name, f"may have at most {MOST[field.name]} entries")
        return
    for index, entry in enumerate(entries):
        found = list(_of_entry(field, entry, name, index))
        if found:
            yield from found
            return


def _of_entry(
    field: FieldDescriptor,
    entry: Any,  # noqa: ANN401
    name: str,
    index: int,
) -> Iterator[FieldViolation]:
    if is_map(field):
        key, value = entry
        yield from _of_text(name, key, KEY_CHARACTERS)
        if isinstance(value, str):
            yield from _of_text(f"{name}.{key[:_NAME]}", value, VALUES[field.name])
    elif isinstance(entry, Message):
        yield from _too_large(entry, f"{name}[{index}].")
    elif isinstance(entry, str | bytes):
        yield from _of_text(f"{name}[{index}]", entry, LONGEST[field.name])


def _of_text(name: str, value: str | bytes, most: int) -> Iterator[FieldViolation]:
    if len(value) > most:
        unit = "bytes" if isinstance(value, bytes) else "characters"
        yield FieldViolation(name, f"may have at most {most} {unit}")
