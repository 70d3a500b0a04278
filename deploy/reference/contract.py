"""What the .proto files say, comments included, as plain values."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

ROOT = Path(__file__).parents[2]

# Field numbers of descriptor.proto, of which the paths to comments are made.
_SYNTAX, _MESSAGE, _ENUM, _SERVICE, _MEMBER = 12, 4, 5, 6, 2

_Field = pb.FieldDescriptorProto
_SCALARS = {
    _Field.TYPE_STRING: "string",
    _Field.TYPE_BYTES: "bytes",
    _Field.TYPE_BOOL: "bool",
    _Field.TYPE_INT32: "int32",
    _Field.TYPE_INT64: "int64",
    _Field.TYPE_FLOAT: "float",
    _Field.TYPE_DOUBLE: "double",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A field or a value. `shape`: "", repeated, optional or map; `choice`: the oneof it is of, or empty."""

    name: str
    number: int
    comment: str
    type: str = ""
    shape: str = ""
    choice: str = ""


@dataclass(frozen=True, slots=True)
class Type:
    """A message or an enum."""

    name: str
    comment: str
    members: tuple[Member, ...]
    is_enum: bool


@dataclass(frozen=True, slots=True)
class Call:
    """An RPC."""

    name: str
    comment: str
    request: str
    response: str
    streams: bool


@dataclass(frozen=True, slots=True)
class File:
    """One .proto with one service. `stem` as `orchestrator`; `comment` is that at its head."""

    stem: str
    package: str
    comment: str
    service: str
    service_comment: str
    calls: tuple[Call, ...]
    types: tuple[Type, ...]


def contract() -> list[File]:
    """Our own .proto files, in the order of their names.

    Raises:
        subprocess.CalledProcessError: They cannot be compiled; standard error has said why.
    """
    command = [str(Path(sys.executable).with_name("buf")), "build", "--as-file-descriptor-set", "-o", "-"]
    compiled = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    files = pb.FileDescriptorSet.FromString(compiled.stdout).file
    return [_file(file) for file in files if file.name.startswith("protos/")]


def _file(file: pb.FileDescriptorProto) -> File:
    told = {
        tuple(place.path): place.leading_comments + place.trailing_comments
        for place in file.source_code_info.location
    }
    [service] = file.service
    return File(
        stem=Path(file.name).stem,
        package=file.package,
        comment=told[_SYNTAX,],
        service=service.name,
        service_comment=told[_SERVICE, 0],
        calls=tuple(
            Call(
                call.name,
                told[_SERVICE, 0, _MEMBER, number],
                _short(call.input_type),
                _short(call.output_type),
                call.server_streaming,
            )
            for number, call in enumerate(service.method)
        ),
        types=tuple(_types(file, told)),
    )


def _types(file: pb.FileDescriptorProto, told: dict[tuple[int, ...], str]) -> Iterator[Type]:
    for index, message in enumerate(file.message_type):
        fields = tuple(
            _field(message, field, told[_MESSAGE, index, _MEMBER, number])
            for number, field in enumerate(message.field)
        )
        yield Type(message.name, told[_MESSAGE, index], fields, is_enum=False)
    for index, enum in enumerate(file.enum_type):
        values = tuple(
            Member(value.name, value.number, told[_ENUM, index, _MEMBER, number])
            for number, value in enumerate(enum.value)
        )
        yield Type(enum.name, told[_ENUM, index], values, is_enum=True)


def _field(message: pb.DescriptorProto, field: pb.FieldDescriptorProto, comment: str) -> Member:
    entries = {nested.name: nested for nested in message.nested_type if nested.options.map_entry}
    entry = entries.get(_short(field.type_name))
    if entry is not None:
        kind = f"{_type(entry.field[0])}, {_type(entry.field[1])}"
        return Member(field.name, field.number, comment, kind, "map")
    repeated = field.label == _Field.LABEL_REPEATED
    shape = "repeated" if repeated else "optional" if field.proto3_optional else ""
    chosen = field.HasField("oneof_index") and not field.proto3_optional
    choice = message.oneof_decl[field.oneof_index].name if chosen else ""
    return Member(field.name, field.number, comment, _type(field), shape, choice)


def _type(field: pb.FieldDescriptorProto) -> str:
    return _short(field.type_name) if field.type_name else _SCALARS[field.type]


def _short(name: str) -> str:
    return name.rpartition(".")[2]
