"""Calls with bytes that no stub would send."""

import grpc


def _same(payload: bytes) -> bytes:
    return payload


async def raw_unary(channel: grpc.aio.Channel, path: str, payload: bytes = b"") -> bytes:
    """The reply of a unary method, undecoded."""
    call = channel.unary_unary(path, request_serializer=_same, response_deserializer=_same)
    return bytes(await call(payload))


async def raw_stream(channel: grpc.aio.Channel, path: str, payload: bytes = b"") -> list[bytes]:
    """The replies of a server-streaming method, undecoded."""
    call = channel.unary_stream(path, request_serializer=_same, response_deserializer=_same)
    return [reply async for reply in call(payload)]
