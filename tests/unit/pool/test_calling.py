"""One call under its permit, and what a reader sees when the first of two fails late."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from providers.base import (
    CallAccepted,
    ChatModel,
    Delta,
    ModelFinished,
    ModelInfo,
    ModelRequest,
    RateRemaining,
    TextDelta,
    ToolCallDelta,
)
from providers.file.defaults import single_model
from providers.file.endpoints import Endpoint
from providers.file.entries import ModelEntry
from providers.gate.stream import gated_stream
from providers.pool.assembly import Assembly
from providers.pool.choice import ClassChoice
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from state.errors import ProviderBrokenError, ProviderSaturatedError, ProviderUnavailableError
from state.models import FinishReason, Message, ToolCall
from tests.fakes.memory_gate import MemoryGate, MemoryPermit

QUESTION = ModelRequest((Message("user", "how are you"),))
END = ModelFinished(FinishReason.STOP, "g1", "acme", "small")
ACCEPTED = CallAccepted("r1", RateRemaining(requests=1))


class PlayedModel:
    """Plays what it was given: deltas, then perhaps an error."""

    def __init__(self, *played: Delta | Exception) -> None:
        self._played = played
        self.info = ModelInfo("acme", "small", 4096)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        del request
        for delta in self._played:
            if isinstance(delta, Exception):
                raise delta
            yield delta

    async def probe(self) -> None:
        pass


def endpoint() -> Endpoint:
    from providers.file.endpoints import endpoints_of

    configuration = single_model(provider="acme", kind="openai", model="small", context_tokens=4096)
    return endpoints_of(configuration, {})["small"]


async def called(*played: Delta | Exception) -> tuple[list[Delta], MemoryPermit]:
    permit, deltas = MemoryPermit(MemoryGate(endpoint())), list[Delta]()
    model: ChatModel = PlayedModel(*played)
    try:
        async with aclosing(gated_stream(model, permit, QUESTION)) as stream:
            async for delta in stream:
                deltas.append(delta)
    except (ProviderBrokenError, ProviderSaturatedError, KeyError):
        pass
    return deltas, permit


async def test_a_whole_answer_is_told_step_by_step() -> None:
    deltas, permit = await called(ACCEPTED, TextDelta("a"), TextDelta("b"), END)
    assert deltas == [ACCEPTED, TextDelta("a"), TextDelta("b"), END]
    assert (permit.events, permit.ends) == (["accepted", "first_token"], ["succeeded"])


@pytest.mark.parametrize(
    ("played", "end"),
    [
        ((TextDelta("a"),), "failed"),
        ((TextDelta("a"), ProviderBrokenError("x")), "failed"),
        ((ProviderSaturatedError("x"),), "failed"),
        ((TextDelta("a"), KeyError("a defect")), "abandoned"),
    ],
    ids=["no end", "broken", "no room", "defect"],
)
async def test_a_permit_ends_once_however_the_call_does(
    played: tuple[Delta | Exception, ...], end: str
) -> None:
    _, permit = await called(*played)
    assert permit.ends == [end]


async def test_a_reader_that_leaves_at_the_last_delta_has_had_the_whole_answer() -> None:
    permit = MemoryPermit(MemoryGate(endpoint()))
    async with aclosing(gated_stream(PlayedModel(END), permit, QUESTION)) as stream:
        await anext(stream)
    assert permit.ends == ["succeeded"]


async def pooled(*models: ChatModel) -> list[Delta]:
    """What a pool over these models answers."""
    waiting, base = (
        list(models),
        single_model(provider="acme", kind="openai", model="m0", context_tokens=4096),
    )
    names = [f"m{number}" for number in range(len(models))]
    configuration = base.model_copy(
        update={
            "models": {name: ModelEntry(provider="acme", context_tokens=4096) for name in names},
            "classes": {"chat": names},
        }
    )
    assembly = Assembly({"openai": lambda _: waiting.pop(0)}, MemoryGate, {}, production=False)
    pool = ModelPool(assembly, configuration, retry_budget=RetryBudget())
    async with aclosing(pool.stream(ClassChoice("chat"), QUESTION)) as stream:
        return [delta async for delta in stream]


async def test_a_reader_sees_one_call_accepted_though_two_were() -> None:
    other = CallAccepted("r2")
    failing = PlayedModel(ACCEPTED, ProviderUnavailableError("x"))
    deltas = await pooled(failing, PlayedModel(other, TextDelta("a"), END))
    assert deltas == [other, TextDelta("a"), END]


async def test_an_empty_answer_is_an_answer() -> None:
    assert await pooled(PlayedModel(ACCEPTED, END), PlayedModel(TextDelta("never"), END)) == [ACCEPTED, END]


@pytest.mark.parametrize("begun", [TextDelta("a"), ToolCallDelta(ToolCall("c1", "look", "{}"))])
async def test_no_other_model_is_called_once_an_answer_has_begun(begun: Delta) -> None:
    other = PlayedModel(KeyError("called"))
    with pytest.raises(ProviderUnavailableError):
        await pooled(PlayedModel(ACCEPTED, begun, ProviderUnavailableError("x")), other)
