"""Tools from the table and the descriptors: the schema of a request without what the gateway fills."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from protos import tool_service_pb2 as pb
from tools.base import Tool
from tools.table.row import Row

SERVICE = pb.DESCRIPTOR.services_by_name["ToolService"]

_LONGEST_NAME = 8 * 1024
_LONGEST_TEXT = 128 * 1024
_MOST_ITEMS = 64

_INTEGERS = {FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1)}


class UnknownFieldError(ValueError):
    """The table and the contract do not fit each other; the message says where."""


def method_of(row: Row) -> MethodDescriptor:
    """Raises: UnknownFieldError: The contract has no such RPC."""
    method = SERVICE.methods_by_name.get(row.rpc)
    if method is None:
        raise UnknownFieldError(f"no RPC {row.rpc}")
    return method


def tool_of(row: Row, *, max_seconds: float, max_result_bytes: int) -> Tool:
    """A row as a tool; the two limits are above its own."""
    return Tool(
        name=row.name,
        description=row.description,
        parameters=parameters_of(method_of(row).input_type, row),
        operation_type=row.operation_type,
        read_only=row.read_only,
        idempotent=row.idempotent,
        destructive=row.destructive,
        open_world=row.open_world,
        spends=row.spends,
        timeout_seconds=min(row.timeout_seconds, max_seconds),
        max_result_bytes=min(row.max_result_bytes, max_result_bytes),
        sensitive=row.sensitive,
        urls=row.urls,
    )


def parameters_of(message: Descriptor, row: Row) -> dict[str, Any]:
    """The JSON Schema of a request.

    Raises:
        UnknownFieldError: The row names a field that the request does not have.
    """
    named = {
        *row.needs,
        *row.says,
        *row.choices,
        *row.most,
        *row.long,
        *row.filled,
        *row.sensitive,
        *row.urls,
    }
    if unknown := named - set(message.fields_by_name):
        raise UnknownFieldError(f"{row.rpc}: no field {', '.join(sorted(unknown))}")
    shown = [field for field in message.fields if field.name not in row.filled]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _property(field, row) for field in shown},
        "additionalProperties": False,
    }
    if row.needs:
        schema["required"] = list(row.needs)
    return schema


def _property(field: FieldDescriptor, row: Row) -> dict[str, Any]:
    told = {"description": row.says[field.name]} if field.name in row.says else {}
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        values = _scalar(value, row)
        return {
            "type": "object",
            "additionalProperties": values,
            "maxProperties": _MOST_ITEMS,
            **told,
        }
    if field.is_repeated:
        return {"type": "array", "items": _scalar(field, row), "maxItems": _MOST_ITEMS, **told}
    return {**_scalar(field, row), **told}


def _scalar(field: FieldDescriptor, row: Row) -> dict[str, Any]:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type in _INTEGERS:
        least, most = _INTEGERS[field.type]
        if field.name in row.most:
            least, most = 0, row.most[field.name]
        return {"type": "integer", "minimum": least, "maximum": most}
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string(field, row)
    raise UnknownFieldError(f"{row.rpc}.{field.name}: of a type that no tool takes")


def _string(field: FieldDescriptor, row: Row) -> dict[str, Any]:
    if field.name in row.choices:
        return {"type": "string", "enum": list(row.choices[field.name])}
    longest = _LONGEST_TEXT if field.name in row.long else _LONGEST_NAME
    least = {"minLength": 1} if field.name in row.needs and not field.is_repeated else {}
    return {"type": "string", **least, "maxLength": longest}
