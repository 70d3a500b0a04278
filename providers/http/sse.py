"""Incremental parser of server-sent events, over bytes."""

from collections.abc import Iterator

MAX_EVENT_BYTES = 1 << 20
_SILENT_FIELDS = frozenset((b"event", b"id", b"retry"))


class BrokenStreamError(Exception):
    """The provider did not keep to the protocol, or reported an error inside its answer.

    The text is ours: it quotes nothing received. `saturated`: the reported error was that it has no room.
    """

    def __init__(self, text: str, *, saturated: bool = False) -> None:
        super().__init__(text)
        self.saturated = saturated


class EventParser:
    """Yields the data of every event of one stream, wherever its bytes are cut.

    The specification lets a reader skip lines with an unknown field. Here such a line is an error: it is a
    damaged event or a proxy's page, and skipping it would leave a hole in the answer.
    """

    __slots__ = ("_lines", "_max_bytes", "_size", "_tail")

    def __init__(self, *, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._tail = bytearray()
        self._lines: list[bytes] = []
        self._size = 0

    def whole(self, received: bytes) -> bytes | None:
        """The data of `received` if it is one event and nothing else, as most providers send each token.

        None if it may be anything else: then it is to be fed.
        """
        end = len(received) - 2
        if (
            received.startswith(b"data: ")
            and received.find(b"\n") == end
            and received[end + 1 :] == b"\n"
            and not self._tail
            and not self._lines
            and end <= self._max_bytes
        ):
            return received[6:end].removesuffix(b"\r")
        return None

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `received` completes.

        Raises:
            BrokenStreamError: After the events before it.
        """
        *lines, rest = received.split(b"\n")
        if lines:
            if self._tail:
                lines[0] = bytes(self._tail) + lines[0]
                self._tail.clear()
            for line in lines:
                if (data := self._read(line)) is not None:
                    yield data
        self._tail += rest
        # The end of a line is no part of it, nor half of one: the limit is the same wherever bytes are cut.
        self._check_size(len(self._tail) - self._tail.endswith(b"\r"))

    def _read(self, line: bytes) -> bytes | None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if not line:
            return self._take() if self._lines else None
        self._check_size(len(line))
        if line.startswith(b"data: "):
            self._append(line[6:])
        elif not line.startswith(b":"):
            self._read_other_field(line)
        return None

    def _read_other_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._append(value)
        elif name not in _SILENT_FIELDS:
            raise BrokenStreamError("sent a line that is no server-sent event")

    def _append(self, value: bytes) -> None:
        # Joined once, at the end: a mebibyte of empty lines would be copied a million times.
        if self._lines:
            self._check_size(self._size + len(value))
            self._size += 1
        self._size += len(value)
        self._lines.append(value)

    def _take(self) -> bytes:
        data = b"\n".join(self._lines)
        self._lines, self._size = [], 0
        return data

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise BrokenStreamError("sent an event that is too long")
