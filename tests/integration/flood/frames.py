"""HTTP/2 as bytes, for peers that no client library would be."""

import struct
from collections.abc import Mapping
from types import MappingProxyType

from protos import orchestrator_pb2 as pb

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
ACK = END_STREAM = 1
END_HEADERS = 4
CANCEL = 8
STREAM_CHAT = "/orchestrator.OrchestratorService/StreamChat"
HELLO = PREFACE + bytes(3) + bytes((SETTINGS, 0)) + bytes(4)
"""What a peer says first."""


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header_block(path: str = STREAM_CHAT, **more: str) -> bytes:
    """The headers of a gRPC call, none of them indexed or compressed."""
    names = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "flood",
        "content-type": "application/grpc",
        "te": "trailers",
        **more,
    }
    return b"".join(_literal(name) + _text(value) for name, value in names.items())


def call(
    stream: int,
    request: pb.ChatRequest | None = None,
    *,
    window: int = 0,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """A call of StreamChat, with its request where there is one. `window`: bytes it may be sent more."""
    begun = frame(HEADERS, stream, header_block(STREAM_CHAT, **headers), END_HEADERS)
    if window:
        begun += frame(WINDOW_UPDATE, stream, struct.pack(">I", window))
    if request is None:
        return begun
    body = request.SerializeToString()
    return begun + frame(DATA, stream, b"\0" + struct.pack(">I", len(body)) + body, END_STREAM)


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, stream, struct.pack(">I", CANCEL))


def _literal(name: str) -> bytes:
    return b"\0" + _text(name)


def _text(text: str) -> bytes:
    assert len(text) < 127, "a longer text has its length in several bytes"
    return bytes((len(text),)) + text.encode()
