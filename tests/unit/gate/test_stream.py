"""One call under a permit: what is passed on, and what the permit is told."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import pytest

from providers.base import (
    CallAccepted,
    ChatModel,
    Delta,
    ModelFinished,
    ModelInfo,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    TokenCount,
    ToolCallDelta,
)
from providers.gate.base import Permit
from providers.gate.stream import gated_stream
from state.errors import (
    DeadlineExceededError,
    OrchestratorError,
    ProviderBrokenError,
    ProviderError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from state.models import FinishReason, Message, ToolCall

REQUEST = ModelRequest((Message("user", "hello"),))
TOKENS = TokenCount(3, 4)
FINISHED = ModelFinished(FinishReason.STOP, "1", "acme", "small", TOKENS)
ACCEPTED = CallAccepted("r1")


class WrittenModel:
    """Yields what it was given; an error in it is raised, `...` hangs."""

    def __init__(self, *deltas: Delta | OrchestratorError | ValueError | type(...)) -> None:  # type: ignore[valid-type]
        self._deltas: Iterable[object] = deltas
        self.hangs = asyncio.Event()
        self.closed = False
        self.info = ModelInfo("acme", "small", 8192)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        try:
            for delta in self._deltas:
                match delta:
                    case Exception():
                        raise delta
                    case _ if delta is ...:
                        self.hangs.set()
                        await asyncio.Event().wait()
                    case _:
                        yield delta  # type: ignore[misc]
        finally:
            self.closed = True

    async def probe(self) -> None:
        raise NotImplementedError


class WritingPermit:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def expects(self, tokens: int) -> None:
        self.told.append(("expects", tokens))

    def accepted(self, call: CallAccepted) -> None:
        self.told.append(call)

    def first_token(self) -> None:
        if "first token" not in self.told:
            self.told.append("first token")

    def succeeded(self, tokens: TokenCount | None) -> None:
        self.told.append(("succeeded", tokens))

    def failed(self, error: ProviderError) -> None:
        self.told.append(("failed", error))

    def abandoned(self) -> None:
        self.told.append("abandoned")


_FIT: list[type[ChatModel]] = [WrittenModel]
_FIT_TOO: list[type[Permit]] = [WritingPermit]


async def read(model: WrittenModel, permit: WritingPermit) -> list[Delta]:
    async with aclosing(gated_stream(model, permit, REQUEST)) as deltas:
        return [delta async for delta in deltas]


@pytest.mark.parametrize(
    "first", [TextDelta("a"), ReasoningDelta("hm"), ToolCallDelta(ToolCall("1", "look", "{}"))]
)
async def test_a_call_that_ends_well_is_told_from_acceptance_to_its_tokens(first: Delta) -> None:
    permit = WritingPermit()
    said = [ACCEPTED, first, TextDelta("b"), FINISHED]
    assert await read(WrittenModel(*said), permit) == said
    assert permit.told == [ACCEPTED, "first token", ("succeeded", TOKENS)]


@pytest.mark.parametrize(
    ("before", "error"),
    [
        ([], ProviderSaturatedError("full")),
        ([ACCEPTED], ProviderUnavailableError("slow")),
        ([ACCEPTED, TextDelta("a")], ProviderBrokenError("cut")),
    ],
)
async def test_a_call_that_fails_is_told_with_its_error(before: list[Delta], error: ProviderError) -> None:
    permit = WritingPermit()
    with pytest.raises(type(error)) as raised:
        await read(WrittenModel(*before, error), permit)
    assert raised.value is error
    assert permit.told[-1] == ("failed", error)
    assert len(permit.told) == len(before) + 1


async def test_an_answer_without_an_end_is_broken() -> None:
    permit = WritingPermit()
    with pytest.raises(ProviderBrokenError) as raised:
        await read(WrittenModel(ACCEPTED, TextDelta("a")), permit)
    assert permit.told[-1] == ("failed", raised.value)


@pytest.mark.parametrize("error", [DeadlineExceededError("late"), ValueError("a defect of ours")])
async def test_what_is_not_the_providers_error_abandons_the_call(
    error: DeadlineExceededError | ValueError,
) -> None:
    permit = WritingPermit()
    with pytest.raises(type(error)):
        await read(WrittenModel(ACCEPTED, error), permit)
    assert permit.told == [ACCEPTED, "abandoned"]


@pytest.mark.parametrize("before", [[], [ACCEPTED], [ACCEPTED, TextDelta("a")]])
async def test_a_cancelled_reader_abandons_the_call_and_closes_it(before: list[Delta]) -> None:
    model, permit = WrittenModel(*before, ...), WritingPermit()
    reader = asyncio.create_task(read(model, permit))
    await model.hangs.wait()
    reader.cancel()
    await asyncio.wait([reader])
    assert reader.cancelled()
    assert permit.told[-1] == "abandoned"
    assert permit.told.count("abandoned") == 1
    assert model.closed


async def test_a_reader_that_leaves_in_the_middle_abandons_the_call_and_closes_it() -> None:
    model, permit = WrittenModel(ACCEPTED, TextDelta("a"), TextDelta("b"), FINISHED), WritingPermit()
    async with aclosing(gated_stream(model, permit, REQUEST)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                break
    assert permit.told == [ACCEPTED, "first token", "abandoned"]
    assert model.closed


async def test_a_reader_that_leaves_at_the_end_has_had_a_whole_answer() -> None:
    model, permit = WrittenModel(ACCEPTED, TextDelta("a"), FINISHED), WritingPermit()
    async with aclosing(gated_stream(model, permit, REQUEST)) as deltas:
        async for delta in deltas:
            if delta is FINISHED:
                break
    assert permit.told == [ACCEPTED, "first token", ("succeeded", TOKENS)]
