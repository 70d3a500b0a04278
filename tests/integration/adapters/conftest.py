"""The adapters under test and the provider they call."""

from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from providers.http.model import ApiKey, HTTPChatModel
from providers.http.session import open_session
from providers.http.timeouts import ProviderTimeouts
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.adapters.reading import PATIENT, Make
from tests.integration.adapters.vendors import VENDORS, Vendor


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Every adapter in turn; a module about one of them overrides this."""
    assert isinstance(request.param, Vendor)
    return request.param


@pytest.fixture
def make(session: aiohttp.ClientSession, provider: ScriptedProvider, vendor: Vendor) -> Make:
    def build(
        address: str = provider.address,
        api_key: ApiKey = None,
        *,
        session: aiohttp.ClientSession = session,
        timeouts: ProviderTimeouts = PATIENT,
        extra_headers: dict[str, str] | None = None,
        max_output_tokens: int | None = None,
        model: str = "small",
        **limits: float,
    ) -> HTTPChatModel:
        return vendor.adapter(
            session,
            provider="acme",
            base_url=address + vendor.prefix,
            model=model,
            api_key=api_key,
            context_tokens=8192,
            timeouts=replace(timeouts, **limits),
            max_output_tokens=max_output_tokens,
            extra_headers=extra_headers,
        )

    return build
