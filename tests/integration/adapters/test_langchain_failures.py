"""What is made of the failures of a LangChain model, and of its silence."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelRateLimitError,
    ModelTimeoutError,
)
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk

from providers.base import (
    CallAccepted,
    TextDelta,
    ToolSpec,
)
from state.errors import (
    DeadlineExceededError,
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from tests.fakes.chat_model import PlayedChatModel
from tests.integration.adapters.reading import QUESTION, read
from tests.integration.adapters.test_langchain import adapted, played

WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object"})
SECRET = "sk-secret"


class VendorsOwnError(Exception):
    """As the vendors' clients raise it."""

    def __init__(self, status_code: int, retry_after: str | None = None) -> None:
        super().__init__(SECRET)
        self.status_code = status_code
        self.response = type(self)._Response({} if retry_after is None else {"Retry-After": retry_after})

    class _Response:
        def __init__(self, headers: dict[str, str]) -> None:
            self.headers = headers


FAILURES = [
    (ModelRateLimitError(SECRET), ProviderSaturatedError),
    (ModelAuthenticationError(SECRET), ProviderRejectedError),
    (ModelInvalidRequestError(SECRET), ProviderRejectedError),
    (ModelNotFoundError(SECRET), ProviderRejectedError),
    (ContextOverflowError(SECRET), ProviderRejectedError),
    (ModelAPIError(SECRET), ProviderUnavailableError),
    (ModelConnectionError(SECRET), ProviderUnavailableError),
    (ModelTimeoutError(SECRET), ProviderUnavailableError),
    (ConnectionResetError(SECRET), ProviderUnavailableError),
    (VendorsOwnError(429), ProviderSaturatedError),
    (VendorsOwnError(529), ProviderSaturatedError),
    (VendorsOwnError(503), ProviderUnavailableError),
    (VendorsOwnError(422), ProviderRejectedError),
    (ValueError(SECRET), ProviderBrokenError),
]


@pytest.mark.parametrize(("error", "expected"), FAILURES, ids=lambda value: type(value).__name__)
async def test_a_failure_is_translated_without_its_text(
    error: Exception, expected: type[ProviderError]
) -> None:
    before = await read(adapted(played(error)))
    after = await read(adapted(played(AIMessageChunk(content="so"), error)))
    assert type(before.error) is expected
    assert type(after.error) is ProviderBrokenError
    for raised in (before.error, after.error):
        assert SECRET not in str(raised)
        # A traceback in the log would show the cause.
        assert raised.__cause__ is None
        assert raised.__suppress_context__


async def test_a_wait_that_the_vendor_tells_is_kept() -> None:
    error = (await read(adapted(played(VendorsOwnError(429, "7"))))).error
    assert error is not None
    assert error.retry_after == 7.0


async def test_silence_before_and_after_the_first_token() -> None:
    before = await read(adapted(played(5.0), first_token=0.1))
    after = await read(adapted(played(AIMessageChunk(content="so"), 5.0), between_tokens=0.1))
    assert isinstance(before.error, ProviderUnavailableError)
    assert isinstance(after.error, ProviderBrokenError)
    assert after.text == "so"


async def test_the_callers_deadline_is_no_fault_of_the_provider() -> None:
    request = replace(QUESTION, deadline=asyncio.get_running_loop().time() + 0.1)
    with pytest.raises(DeadlineExceededError):
        await read(adapted(played(AIMessageChunk(content="so"), 5.0)), request)


async def test_leaving_closes_the_models_own_stream() -> None:
    model = played(AIMessageChunk(content="a"), AIMessageChunk(content="b"), 60.0)
    async with aclosing(adapted(model).stream(QUESTION)) as deltas:
        assert await anext(deltas) == CallAccepted()
        assert await anext(deltas) == TextDelta("a")
    assert model.closed == [True]


async def test_cancelling_the_consumer_ends_the_models_own_stream() -> None:
    model = played(AIMessageChunk(content="a"), 60.0)
    reading = asyncio.create_task(read(adapted(model)))
    await asyncio.sleep(0.1)
    assert model.asked
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert model.closed == [True]


async def test_a_stream_without_a_chunk_is_broken() -> None:
    assert isinstance((await read(adapted(played()))).error, ProviderBrokenError)


async def test_tools_for_a_model_that_knows_none_are_rejected() -> None:
    model = FakeListChatModel(responses=["abc"])
    result = await read(adapted(model), replace(QUESTION, tools=(WEATHER,)))
    assert isinstance(result.error, ProviderRejectedError)


async def test_identical_calls_are_never_answered_from_a_cache() -> None:
    model = PlayedChatModel(whole=AIMessage("so"), cache=True)
    adapter = adapted(model)
    for _ in range(3):
        assert (await read(adapter)).text == "so"
    assert len(model.asked) == 3
