"""One remote: its channel, its gate, and its calls as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from agents.remote.failures import GARBLED
from protos import orchestrator_pb2 as pb
from providers.base import ModelInfo
from providers.breaker import BreakerSettings
from providers.gate.gate import ModelGate
from providers.gate.limit import LimitSettings
from providers.gate.permit import GateSettings
from state.errors import ProviderBrokenError
from tools.gateway.channel import ChannelOptions, opened

Stream: TypeAlias = "grpc.aio.UnaryStreamCall[bytes, bytes]"
_Streaming: TypeAlias = "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]"
_Unary: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
M = TypeVar("M", bound=ProtoMessage)
_SERVICE = pb.DESCRIPTOR.services_by_name["OrchestratorService"].full_name


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """How a remote is reached; as in `RemoteEntry`."""

    channel: ChannelOptions
    breaker: BreakerSettings
    max_concurrency: int
    first_seconds: float
    silence_seconds: float
    reconnect_seconds: float
    call_seconds: float


class RemoteService:
    """A remote by its name. The channel connects with the first call; `close` ends it."""

    def __init__(self, name: str, options: RemoteOptions) -> None:
        self.name = name
        self.options = options
        most = options.max_concurrency
        self.gate = ModelGate(
            ModelInfo(provider=name, model="agents", context_tokens=1),
            GateSettings(breaker=options.breaker, limit=LimitSettings(initial=most, ceiling=most)),
        )
        self._channel = opened(options.channel)
        token = options.channel.token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        self.gate.close()
        await self._channel.close()

    def stream(self, rpc: str, request: ProtoMessage) -> Stream:
        """A stream of chunks, as bytes. Whoever has it cancels it in the end."""
        method: _Streaming = self._channel.unary_stream(_path(rpc))
        return method(request.SerializeToString(), metadata=self._metadata)

    async def call(self, rpc: str, request: ProtoMessage, response: Callable[[], M]) -> M:
        """The response of a call that is made once.

        Raises:
            grpc.aio.AioRpcError: It failed.
            ProviderBrokenError: What came is no response.
        """
        method: _Unary = self._channel.unary_unary(_path(rpc))
        seconds = self.options.call_seconds
        data = await method(request.SerializeToString(), timeout=seconds, metadata=self._metadata)
        return parsed(response, data)


def _path(rpc: str) -> str:
    return f"/{_SERVICE}/{rpc}"


def parsed(kind: Callable[[], M], data: bytes) -> M:
    """A message from its bytes.

    Raises:
        ProviderBrokenError: They are none.
    """
    # Bytes, not messages: what cannot be parsed is then ours to judge.
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise ProviderBrokenError(GARBLED) from error
    return message
