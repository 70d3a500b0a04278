"""What every adapter sends."""

from dataclasses import replace

import pytest
from pydantic import SecretStr

from providers.anthropic.model import AnthropicModel
from providers.base import ChatModel, ModelRequest
from providers.gemini.model import GeminiModel
from providers.http.model import ApiKey
from providers.openai_compatible.model import OpenAICompatibleModel
from state.errors import ProviderRejectedError
from state.models import Message
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.adapters.reading import EVENT_STREAM, QUESTION, Make, RawServer, read
from tests.integration.adapters.vendors import Vendor

_: list[type[ChatModel]] = [OpenAICompatibleModel, AnthropicModel, GeminiModel]

KEY = "sk-secret-key"


async def test_a_call_goes_where_the_vendor_expects_it_and_without_a_key_if_there_is_none(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    assert (await read(make())).finished
    call = provider.ledger[0]
    assert call.path == vendor.path
    assert not call.authorized


async def test_a_compressed_stream_is_declined_because_it_would_not_come_token_by_token(make: Make) -> None:
    async with RawServer(EVENT_STREAM) as server:
        await read(make(server.address))
    assert b"Accept-Encoding: identity\r\n" in server.request_head


@pytest.mark.parametrize(
    "key",
    [SecretStr(KEY), SecretStr(f"{KEY}\n"), lambda: KEY],
    ids=["secret", "with newline", "callable"],
)
async def test_the_key_is_sent(make: Make, key: ApiKey) -> None:
    async with ScriptedProvider(api_key=KEY) as guarded:
        assert (await read(make(guarded.address, key))).finished
        assert (await read(make(guarded.address))).error is not None


async def test_a_callable_key_is_asked_at_every_call(make: Make) -> None:
    keys = iter(["old", KEY])
    async with ScriptedProvider(api_key=KEY) as guarded:
        model = make(guarded.address, lambda: next(keys))
        assert isinstance((await read(model)).error, ProviderRejectedError)
        assert (await read(model)).finished


async def test_extra_headers_are_sent(provider: ScriptedProvider, make: Make) -> None:
    model = make(extra_headers={"X-Title": "tests"}, max_output_tokens=512)
    await read(model)
    assert "x-title" in provider.ledger[0].header_names
    assert (model.info.context_tokens, model.info.max_output_tokens) == (8192, 512)


async def test_text_that_json_cannot_carry_is_the_callers_error(
    provider: ScriptedProvider, make: Make
) -> None:
    result = await read(make(), ModelRequest((Message("user", "half \ud83d"),)))
    assert isinstance(result.error, ProviderRejectedError)
    assert provider.ledger == []


async def test_a_request_that_the_vendor_refuses_is_rejected(provider: ScriptedProvider, make: Make) -> None:
    result = await read(make(), replace(QUESTION, messages=()))
    assert isinstance(result.error, ProviderRejectedError)


@pytest.mark.parametrize(
    "address",
    ["api.acme.test", "ftp://acme.test", "http://", "http://us:er/pass@x", "http://me:hush@x"],
)
async def test_an_unusable_base_url_is_refused_at_once_without_being_quoted(make: Make, address: str) -> None:
    with pytest.raises(ValueError, match="base_url") as refusal:
        make(address)
    assert "pass" not in str(refusal.value)
    assert "hush" not in str(refusal.value)
