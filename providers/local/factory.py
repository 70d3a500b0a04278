"""The local model from an entry of the provider file."""

from dataclasses import replace

from providers.base import ChatModel
from providers.file.endpoints import Endpoint
from providers.local.model import CONNECTION_HEADERS, LocalModel
from providers.local.server import LocalModelServer
from providers.pool.assembly import AdapterFactory


class LocalModelFactory:
    """Makes models that answer with one child process; `connect` makes the adapter that speaks to it."""

    def __init__(self, server: LocalModelServer, connect: AdapterFactory, *, ready_seconds: float) -> None:
        self._server = server
        self._connect = connect
        self._ready_seconds = ready_seconds

    def __call__(self, endpoint: Endpoint) -> ChatModel:
        def connected(base_url: str) -> ChatModel:
            at = {"base_url": base_url, "headers": dict(CONNECTION_HEADERS)}
            return self._connect(replace(endpoint, provider=endpoint.provider.model_copy(update=at)))

        return LocalModel(
            self._server,
            connected,
            context_tokens=endpoint.info.context_tokens,
            max_output_tokens=endpoint.info.max_output_tokens,
            ready_seconds=self._ready_seconds,
        )
