"""What the adapter sends."""

from dataclasses import replace

import aiohttp
import pytest
from pydantic import SecretStr

from providers.base import ChatModel, ModelRequest
from providers.http.model import ApiKey
from providers.openai_compatible.model import OpenAICompatibleModel
from state.errors import (
    ProviderRejectedError,
)
from state.models import Message
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.integration.adapters.reading import (
    EVENT_STREAM,
    PATIENT,
    QUESTION,
    Loopback,
    Make,
    RawServer,
    read,
)

_: type[ChatModel] = OpenAICompatibleModel

KEY = "sk-secret-key"


async def test_a_request_asks_for_a_stream_with_usage_and_nothing_it_was_not_told(
    provider: ScriptedProvider, make: Make
) -> None:
    messages = (Message("system", "be brief"), Message("user", "hi"), Message("assistant", "yes?"))
    await read(make(), ModelRequest(messages))
    call = provider.ledger[0]
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert not call.authorized


async def test_a_compressed_stream_is_declined_because_it_would_not_come_token_by_token(make: Make) -> None:
    async with RawServer(EVENT_STREAM) as server:
        await read(make(server.base_url))
    assert b"Accept-Encoding: identity\r\n" in server.request_head


async def test_limits_temperature_and_seed_are_passed_on(provider: ScriptedProvider, make: Make) -> None:
    await read(make(), replace(QUESTION, max_output_tokens=64, temperature=0.0, seed=0))
    body = provider.ledger[0].body
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (64, 0.0, 0)


async def test_openai_itself_gets_its_own_name_for_the_token_limit(
    provider: ScriptedProvider, make: Make
) -> None:
    connector = aiohttp.TCPConnector(resolver=Loopback())
    async with aiohttp.ClientSession(connector=connector) as session:
        model = make(f"http://api.openai.com:{provider.port}/v1", session=session)
        await read(model, replace(QUESTION, max_output_tokens=64))
    assert provider.ledger[0].body["max_completion_tokens"] == 64
    assert "max_tokens" not in provider.ledger[0].body


@pytest.mark.parametrize(
    "key",
    [SecretStr(KEY), SecretStr(f"{KEY}\n"), lambda: KEY],
    ids=["secret", "with newline", "callable"],
)
async def test_the_key_is_sent(make: Make, key: ApiKey) -> None:
    async with ScriptedProvider(api_key=KEY) as guarded:
        assert (await read(make(guarded.base_url, key))).finished
        assert (await read(make(guarded.base_url))).error is not None


async def test_a_callable_key_is_asked_at_every_call(make: Make) -> None:
    keys = iter(["old", KEY])
    async with ScriptedProvider(api_key=KEY) as guarded:
        model = make(guarded.base_url, lambda: next(keys))
        assert isinstance((await read(model)).error, ProviderRejectedError)
        assert (await read(model)).finished


async def test_extra_headers_are_sent(provider: ScriptedProvider, session: aiohttp.ClientSession) -> None:
    model = OpenAICompatibleModel(
        session,
        provider="acme",
        base_url=provider.base_url,
        model="small",
        api_key=None,
        context_tokens=8192,
        timeouts=PATIENT,
        max_output_tokens=512,
        extra_headers={"X-Title": "tests"},
    )
    await read(model)
    assert "x-title" in provider.ledger[0].header_names
    assert (model.info.context_tokens, model.info.max_output_tokens) == (8192, 512)


async def test_text_that_json_cannot_carry_is_the_callers_error(
    provider: ScriptedProvider, make: Make
) -> None:
    result = await read(make(), ModelRequest((Message("user", "half \ud83d"),)))
    assert isinstance(result.error, ProviderRejectedError)
    assert provider.ledger == []


@pytest.mark.parametrize(
    "base_url",
    ["api.acme.test/v1", "ftp://acme.test/v1", "http://", "http://us:er/pass@x", "http://me:hush@x/v1"],
)
async def test_an_unusable_base_url_is_refused_at_once_without_being_quoted(
    make: Make, base_url: str
) -> None:
    with pytest.raises(ValueError, match="base_url") as refusal:
        make(base_url)
    assert "pass" not in str(refusal.value)
    assert "hush" not in str(refusal.value)
