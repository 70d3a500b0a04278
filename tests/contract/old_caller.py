"""The classes of a caller built from the original contract, and the golden bytes of its messages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
FILES = ("orchestrator", "tool_service")


def _released(image: str) -> DescriptorPool:
    # A pool of its own: two files that define `orchestrator.ChatRequest` cannot share the default one.
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString((ROOT / "protos" / "released" / image).read_bytes()).file:
        pool.Add(file)
    return pool


CORE = _released("core.binpb")


def core_messages() -> Iterator[Descriptor]:
    """Every message of the original contract; map entries are not messages of their own."""
    for name in FILES:
        yield from CORE.FindFileByName(f"protos/{name}.proto").message_types_by_name.values()


def old_class(full_name: str) -> type[Message]:
    """The class an old caller has for this message."""
    return GetMessageClass(CORE.FindMessageTypeByName(full_name))


def golden_values() -> dict[str, dict[str, Any]]:
    """Full message name -> its fields, as the YAML files state them."""
    return {
        f"{name}.{message}": fields
        for name in FILES
        for message, fields in yaml.safe_load((GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")).items()
    }


def golden_bytes() -> dict[str, bytes]:
    """Full message name -> its bytes: in a .hex file a name is followed by indented lines of hex digits."""
    found = {}
    for name in FILES:
        text = (GOLDEN / f"{name}.hex").read_text(encoding="ascii").replace("\n ", " ")
        for message, *digits in map(str.split, text.splitlines()):
            found[f"{name}.{message}"] = bytes.fromhex("".join(digits))
    return found


def plain(message: Message) -> dict[str, Any]:
    """The fields that are set, as dicts, lists and scalars; by hand, so that no JSON mapping is trusted."""
    return {field.name: _plain_value(field, value) for field, value in message.ListFields()}


def _plain_value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        return dict(value)
    return [plain(item) for item in value] if field.is_repeated else plain(value)


class OldOrchestratorStub:
    """What protoc generated for an old caller: one callable per core RPC, on the paths of that time."""

    StreamChat: Callable[..., Iterator[Any]]

    def __init__(self, channel: grpc.Channel) -> None:
        service = CORE.FindServiceByName("orchestrator.OrchestratorService")
        for method in service.methods:
            call = channel.unary_stream if method.server_streaming else channel.unary_unary
            path = f"/{service.full_name}/{method.name}"
            request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
            setattr(self, method.name, call(path, request.SerializeToString, answer.FromString))
