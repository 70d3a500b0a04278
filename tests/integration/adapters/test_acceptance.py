"""What an adapter tells of a call as soon as the provider has taken it."""

import asyncio
from contextlib import aclosing

import pytest

from providers.base import CallAccepted, ModelRequest
from state.models import Image, Message
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.integration.adapters.reading import QUESTION, Make, read
from tests.integration.adapters.vendors import Vendor


async def test_a_call_is_accepted_before_its_first_token(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(hold_after=0))
    async with asyncio.timeout(2), aclosing(make().stream(QUESTION)) as deltas:
        assert isinstance(await anext(deltas), CallAccepted)
        assert provider.ledger[0].tokens_sent == 0


async def test_the_acceptance_tells_the_request_id_and_what_is_left_of_the_limits(
    provider: ScriptedProvider, make: Make, vendor: Vendor
) -> None:
    request_id = ((vendor.request_id_header, "req-1"),) if vendor.request_id_header else ()
    provider.enqueue(Script(headers=(*vendor.rate_headers, *request_id)))
    result = await read(make())
    assert result.accepted == CallAccepted("req-1" if request_id else "", vendor.rates)


async def test_a_provider_that_says_nothing_leaves_nothing_known(make: Make) -> None:
    assert (await read(make())).accepted == CallAccepted()


@pytest.mark.parametrize("nonsense", ["", "-1", "soon", "1.5", "9" * 40, "\u00b2", "NaN"])
async def test_rate_headers_that_are_no_numbers_are_left_out(
    provider: ScriptedProvider, make: Make, vendor: Vendor, nonsense: str
) -> None:
    headers = tuple(
        (name, nonsense) for name, _ in vendor.rate_headers if name != "Date" and "reset" not in name
    )
    provider.enqueue(Script(headers=headers))
    assert (await read(make())).accepted == CallAccepted()


@pytest.mark.parametrize("nonsense", ["", "soon", "6x", "s", "NaN", "inf", "2030-13-01T00:00:00Z"])
async def test_reset_times_that_are_none_are_left_out(
    provider: ScriptedProvider, make: Make, vendor: Vendor, nonsense: str
) -> None:
    headers = tuple((name, nonsense) for name, _ in vendor.rate_headers if "reset" in name)
    provider.enqueue(Script(headers=headers))
    assert (await read(make())).accepted == CallAccepted()


async def test_an_image_goes_along_with_its_text(provider: ScriptedProvider, make: Make) -> None:
    picture = Image("image/png", b"\x89PNG")
    result = await read(make(), ModelRequest((Message("user", "what is this", images=(picture,)),)))
    assert result.finished
    body = str(provider.ledger[0].body)
    assert "iVBORw==" in body
    assert "image/png" in body
    assert "what is this" in body
