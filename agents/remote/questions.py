"""A remote's question to a person as one of ours."""

import re
from typing import Any

from google.protobuf.json_format import MessageToDict

from agents.calls import speakable
from agents.judge import legible
from agents.remote.failures import GARBLED
from protos import orchestrator_pb2 as pb
from state.errors import ProviderBrokenError
from state.permissions import PermissionScope
from tools.arguments import MAX_ARGUMENT_BYTES, ArgumentError, canonical, digest

_CLASS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_LEVELS = ("low", "medium", "high")
_REASONING_CHARACTERS = 500


def question_of(asked: pb.PendingPermission, remote: str) -> dict[str, Any]:
    """The values of a `Question`, plain, but for ids and query.

    The tool is named after its remote, so that it is none of ours. Only this one call can be approved: the
    remote would know nothing of what stands beyond it.

    Raises:
        ProviderBrokenError: What would be shown is not what their digest is of, or too much to be shown.
    """
    if asked.arguments.ByteSize() > MAX_ARGUMENT_BYTES:
        raise ProviderBrokenError(GARBLED)
    arguments = MessageToDict(asked.arguments)
    try:
        shown, own = canonical(arguments).decode(), digest(arguments)
    except ArgumentError as error:
        raise ProviderBrokenError(GARBLED) from error
    if asked.arguments_digest not in ("", own):
        raise ProviderBrokenError(GARBLED)
    known = _CLASS.fullmatch(asked.operation_type)
    return {
        "tool_name": f"{remote}:{speakable(asked.tool_name)}",
        "operation_type": asked.operation_type if known else "external_api",
        "arguments": shown,
        "digest": own,
        "reasoning": legible(asked.reasoning)[:_REASONING_CHARACTERS],
        "safety_level": asked.safety_level if asked.safety_level in _LEVELS else "high",
        "reversible": asked.reversible,
        "allowed_scopes": [PermissionScope.ONCE.value],
    }
