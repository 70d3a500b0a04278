"""The adapter under test and the provider it calls."""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from providers.http.model import ApiKey
from providers.http.session import open_session
from providers.http.timeouts import ProviderTimeouts
from providers.openai_compatible.model import OpenAICompatibleModel
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.adapters.reading import PATIENT, Make


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture
def make(session: aiohttp.ClientSession, provider: ScriptedProvider) -> Make:
    def build(
        base_url: str = provider.base_url,
        api_key: ApiKey = None,
        session: aiohttp.ClientSession = session,
        timeouts: ProviderTimeouts = PATIENT,
        **limits: float,
    ) -> OpenAICompatibleModel:
        return OpenAICompatibleModel(
            session,
            provider="acme",
            base_url=base_url,
            model="small",
            api_key=api_key,
            context_tokens=8192,
            timeouts=replace(timeouts, **limits),
        )

    return build
