"""Arguments as requests, and responses as the text that a model reads."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from tools.arguments import ArgumentError
from tools.base import Arguments, Tool, ToolContext, ToolOutcome
from tools.gateway.failures import GARBLED, CallFailedError
from tools.gateway.schema import UnknownFieldError, method_of
from tools.results import answered, capped, failed
from tools.table.row import Row

M = TypeVar("M", bound=Message)

_LONGEST_ERROR = 2048
_OF_THE_CALL = frozenset({"success", "error"})


class RowCodec:
    """What one row of the table sends and receives."""

    def __init__(self, row: Row) -> None:
        method = method_of(row)
        fields = method.output_type.fields_by_name
        if unknown := row.hidden - set(fields):
            raise UnknownFieldError(f"{row.rpc}: no field {', '.join(sorted(unknown))} in its response")
        self._row = row
        self._request = GetMessageClass(method.input_type)
        self._response = GetMessageClass(method.output_type)
        self._says_success = "success" in fields

    def request(self, arguments: Arguments, context: ToolContext) -> bytes:
        """The request's bytes, with whose it is.

        Raises:
            ArgumentError: The arguments are none of this request.
        """
        ours = {"user_id": str(context.owner), "conversation_id": str(context.conversation_id)}
        filled = {name: ours[name] for name in self._row.filled}
        try:
            return ParseDict({**arguments, **filled}, self._request()).SerializeToString()
        except ParseError as error:
            raise ArgumentError("The arguments do not fit the request.") from error

    def response(self, data: bytes) -> Message:
        """Raises: CallFailedError: These are not the bytes of a response."""
        return decoded(self._response(), data)

    def outcome(self, tool: Tool, response: Message) -> ToolOutcome:
        """What the model is told."""
        fields = MessageToDict(response, preserving_proto_field_name=True)
        if self._says_success and not fields.get("success"):
            return self._refusal(str(fields.get("error") or fields.get("message") or ""))
        shown = {k: v for k, v in fields.items() if k not in self._row.hidden | _OF_THE_CALL}
        text = orjson.dumps(shown).decode() if shown else "Nothing was found." if tool.read_only else "Done."
        return answered(tool, text, summary=_summary(shown), untrusted=self._row.gives_untrusted)

    def _refusal(self, error: str) -> ToolOutcome:
        text, _ = capped(error or "The tool refused, without saying why.", _LONGEST_ERROR)
        return failed("TOOL_REFUSED", text, untrusted=self._row.gives_untrusted)


def decoded(message: M, data: bytes) -> M:
    """The message, parsed.

    Raises:
        CallFailedError: These are not its bytes.
    """
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise CallFailedError(GARBLED) from error
    return message


def _summary(shown: Mapping[str, Any]) -> str:
    counts = [
        f"{len(value)} {name.replace('_', ' ')}" for name, value in shown.items() if isinstance(value, list)
    ]
    return ", ".join(counts) or "done"
