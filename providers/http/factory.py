"""HTTP adapters from entries of the provider file."""

from dataclasses import asdict
from functools import partial

import aiohttp

from providers.base import ChatModel
from providers.file.endpoints import Endpoint
from providers.http.model import HTTPChatModel
from providers.http.timeouts import ProviderTimeouts


def timeouts_of(endpoint: Endpoint) -> ProviderTimeouts:
    """What the file says of the time that a call may take."""
    timeouts = endpoint.provider.timeouts
    return ProviderTimeouts(
        connect=timeouts.connect_seconds,
        first_token=timeouts.first_token_seconds,
        between_tokens=timeouts.between_tokens_seconds,
        total=timeouts.total_seconds,
    )


class HTTPAdapterFactory:
    """Makes models of one adapter class, which share a session."""

    def __init__(
        self, adapter: type[HTTPChatModel], session: aiohttp.ClientSession, default_url: str
    ) -> None:
        self._adapter = adapter
        self._session = session
        self._default_url = default_url

    def __call__(self, endpoint: Endpoint) -> ChatModel:
        provider = endpoint.provider
        about = asdict(endpoint.info)
        del about["routing"]  # which model may choose an agent is known before one is called
        make = partial(self._adapter, self._session, **about)
        return make(
            base_url=provider.base_url or self._default_url,
            api_key=endpoint.api_key,
            timeouts=timeouts_of(endpoint),
            extra_headers=provider.headers,
        )
