"""What the adapter makes of error statuses, and what its errors keep to themselves."""

import asyncio
from dataclasses import replace

import pytest
from pydantic import SecretStr

from providers.base import ModelRequest
from state.errors import (
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from state.models import Message
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.adapters.reading import (
    Make,
    read,
)
from tests.integration.adapters.vendors import DATE, Vendor

KEY, PROMPT, SECRET_BODY = "sk-secret-key", "secret-prompt", "secret-body"
STATUSES = [
    (500, ProviderUnavailableError),
    (502, ProviderUnavailableError),
    (503, ProviderUnavailableError),
    (408, ProviderUnavailableError),
    (429, ProviderSaturatedError),
    (529, ProviderSaturatedError),
    (400, ProviderRejectedError),
    (401, ProviderRejectedError),
    (402, ProviderRejectedError),
    (403, ProviderRejectedError),
    (404, ProviderRejectedError),
    (413, ProviderRejectedError),
    (418, ProviderRejectedError),
    (422, ProviderRejectedError),
    (302, ProviderRejectedError),
    (204, ProviderBrokenError),
]


@pytest.mark.parametrize(("status", "expected"), STATUSES)
async def test_an_error_status_becomes_its_error_and_names_itself(
    provider: ScriptedProvider, make: Make, status: int, expected: type[ProviderError]
) -> None:
    provider.enqueue(Script(status=status))
    result = await read(make())
    assert type(result.error) is expected
    assert f"HTTP {status}" in str(result.error)
    assert result.error.retry_after == expected.default_retry_after


async def test_a_redirect_is_not_followed(provider: ScriptedProvider, make: Make, vendor: Vendor) -> None:
    elsewhere = (("Location", f"{provider.address}{vendor.path}"),)
    provider.enqueue(Script(status=307, headers=elsewhere))
    result = await read(make())
    assert isinstance(result.error, ProviderRejectedError)
    assert len(provider.ledger) == 1


@pytest.mark.parametrize("status", [429, 529, 503])
@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (7, 7.0),
        ("1.5", 1.5),
        (0, 0.0),
        (-3, 0.0),
        (86400, 3600.0),
        ("Tue, 01 Jan 2030 00:00:30 GMT", 30.0),
        ("Mon, 31 Dec 2029 00:00:00 GMT", 0.0),
        ("Thu, 31 Jan 2030 00:00:00 GMT", 3600.0),
        ("soon", 5.0),
        ("nan", 5.0),
        ("inf", 5.0),
    ],
)
async def test_retry_after_is_read_on_the_providers_own_clock(
    provider: ScriptedProvider, make: Make, status: int, retry_after: int | str, expected: float
) -> None:
    provider.enqueue(Script(status=status, retry_after=retry_after, headers=(DATE,)))
    result = await read(make())
    assert result.error is not None
    assert result.error.retry_after == expected


async def test_a_full_provider_is_saturated_until_there_is_room(
    provider: ScriptedProvider, make: Make
) -> None:
    provider.capacity = 1
    provider.enqueue(Script(hold_after=1))
    model = make()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(read(model))
        held = await provider.call(1)
        refused = await read(model)
        held.release()
    await held.ended()
    assert isinstance(refused.error, ProviderSaturatedError)
    assert refused.error.retry_after == 1.0
    assert first.result().finished
    assert (await read(model)).finished


@pytest.mark.parametrize(
    "script",
    [
        *(Script(status=status, body=f"{SECRET_BODY} {KEY}") for status, _ in STATUSES if status != 204),
        *(Script(fault=Fault(kind)) for kind in FaultKind if kind is not FaultKind.NO_DONE),
    ],
    ids=lambda script: script.fault.kind if script.fault else str(script.status),
)
async def test_no_error_quotes_the_key_the_prompt_or_the_answer(
    provider: ScriptedProvider, make: Make, script: Script
) -> None:
    provider.enqueue(replace(script, tokens=(SECRET_BODY,)))
    model = make(api_key=SecretStr(KEY), first_token=0.15, between_tokens=0.15)
    error = (await read(model, ModelRequest((Message("user", PROMPT),)))).error
    assert error is not None
    for secret in (KEY, PROMPT, SECRET_BODY, "127.0.0.1", "Error("):
        assert secret not in str(error)


async def test_an_unusable_key_is_rejected_without_being_quoted(
    provider: ScriptedProvider, make: Make
) -> None:
    error = (await read(make(api_key=SecretStr(f"{KEY}\r\nX-Evil: 1")))).error
    assert isinstance(error, ProviderRejectedError)
    assert KEY not in str(error)
    assert provider.ledger == []
