"""Values made of a fuzzer's bytes: the same bytes are always the same value, and a few make a small one."""

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

T = TypeVar("T")

_DEEPEST = 6
_WORDS = (
    "",
    "a",
    "u1",
    "auto",
    "chat",
    "user",
    "assistant",
    "approved",
    "normal",
    "https://a.example/",
    "é🌍",
)
_ODD = ("\0", "\n", " ", "x" * 300, "\x1b[31m", "prefer", "text/plain", "image/png", "\u202e", "http://[::1]")
_NUMBERS = (0, 1, -1, 2, 60, 900, 2**31 - 1, -(2**31), 2**53, 2**62, -(2**62), 253402300800)
_FLOATS = (0.0, -1.0, 0.5, 1.0, 1e308, float("nan"), float("inf"), float("-inf"))
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: 32,
    FieldDescriptor.CPPTYPE_INT64: 64,
    FieldDescriptor.CPPTYPE_UINT32: 32,
    FieldDescriptor.CPPTYPE_UINT64: 64,
}


class Picker:
    """Reads choices from bytes; zeros when none are left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def byte(self) -> int:
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def below(self, limit: int) -> int:
        return (self.byte() if limit <= 256 else self.byte() << 8 | self.byte()) % limit

    def one_of(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def some(self, most: int = 64) -> bytes:
        """Some of what is left."""
        end = min(len(self._data), self._at + self.below(most + 1))
        taken, self._at = self._data[self._at : end], end
        return taken

    def rest(self) -> bytes:
        taken, self._at = self._data[self._at :], len(self._data)
        return taken

    def text(self) -> str:
        kind = self.below(4)
        if kind == 0:
            return self.one_of(_WORDS)
        return self.one_of(_ODD) if kind == 1 else self.some().decode(errors="ignore")

    def number(self) -> int:
        return self.one_of(_NUMBERS) if self.below(2) else self.byte()

    def cuts(self, data: bytes) -> list[bytes]:
        """The same bytes in pieces, some of them empty."""
        places = sorted(self.below(len(data) + 1) for _ in range(self.below(9)))
        return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]

    def json(self, depth: int = 0) -> Any:  # noqa: PLR0911 - one of each kind
        """A JSON value."""
        match self.below(8 if depth < _DEEPEST else 6):
            case 0:
                return None
            case 1:
                return bool(self.below(2))
            case 2:
                return self.number()
            case 3:
                return self.one_of(_FLOATS[:5])
            case 4 | 5:
                return self.text()
            case 6:
                return [self.json(depth + 1) for _ in range(self.below(4))]
        return {self.text(): self.json(depth + 1) for _ in range(self.below(4))}

    def fill(self, message: Message, depth: int = 0) -> None:
        """Set some fields of a message; more of them the more bytes there are."""
        fields = message.DESCRIPTOR.fields
        for _ in range(self.below(len(fields) + 2)):
            if fields and self.left:
                self._set(message, self.one_of(fields), depth)

    def _set(self, message: Any, field: Any, depth: int) -> None:
        inner = field.message_type
        if inner is not None and depth >= _DEEPEST:
            return
        if inner is not None and inner.GetOptions().map_entry:
            self._put(message, field, depth)
        elif inner is not None:
            owner = getattr(message, field.name)
            one = owner.add() if field.is_repeated else owner
            one.SetInParent()
            self.fill(one, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(self._scalar(field) for _ in range(self.below(3)))
        else:
            setattr(message, field.name, self._scalar(field))

    def _put(self, message: Any, field: Any, depth: int) -> None:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        entries = getattr(message, field.name)
        if value.message_type is None:
            entries[self._scalar(key)] = self._scalar(value)
        else:
            self.fill(entries[self._scalar(key)], depth + 1)

    def _scalar(self, field: Any) -> Any:
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_BOOL:
                return bool(self.below(2))
            case FieldDescriptor.CPPTYPE_ENUM:
                return self.below(16)
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return self.one_of(_FLOATS)
            case FieldDescriptor.CPPTYPE_STRING:
                return self.some() if field.type == FieldDescriptor.TYPE_BYTES else self.text()
        return self._whole(field)

    def _whole(self, field: Any) -> int:
        bits = _INTEGERS[field.cpp_type]
        signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
        most: int = (1 << (bits - signed)) - 1
        least = -most if signed else 0
        return max(least, min(self.number(), most))


def mutated(source: random.Random, data: bytes) -> bytes:
    """Something like `data`: bytes changed, put in, taken out, doubled or cut off, once or a few times."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4, 16))):
        at, size = source.randrange(len(changed) + 1), source.choice((1, 1, 2, 8, 32))
        match source.randrange(5):
            case 0:
                changed[at : at + size] = source.randbytes(len(changed[at : at + size]))
            case 1:
                changed[at:at] = source.randbytes(size)
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size] * source.choice((1, 2, 50))
            case _:
                del changed[at + size :]
    return bytes(changed)
