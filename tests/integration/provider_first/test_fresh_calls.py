"""The same request again is another call: a completion is never shown twice as if it were new."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.configured import two_models
from tests.harness.service import Service
from tests.integration.provider_first.asking import ask, service_with

TIMES = 20


@pytest.fixture
async def service(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, tmp_path: Path
) -> AsyncIterator[Service]:
    text = two_models(provider.base_url, second.base_url)
    async with service_with(dsn, provider, tmp_path / "p.toml", text) as service:
        yield service


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
async def test_identical_calls_are_as_many_completions(service: Service, at_once: bool) -> None:
    """Of one user, of equal words, in conversations of their own; the provider's answers are equal too."""
    if at_once:
        asked = await asyncio.gather(*(ask(service, "same") for _ in range(TIMES)))
    else:
        asked = [await ask(service, "same") for _ in range(TIMES)]
    ledger = service.provider.ledger
    assert len(ledger) == TIMES
    assert {str(call.body) for call in ledger} == {str(ledger[0].body)}
    told = [one.answered_by for one in asked]
    assert sorted(told) == sorted(call.generation_id for call in ledger)
    assert len(set(told)) == TIMES


async def test_identical_calls_are_as_many_completions_when_the_first_model_is_down(
    service: Service, second: ScriptedProvider
) -> None:
    """The calls that failed are counted apart: they are no completions."""
    service.provider.default = Script(status=503)
    told = [(await ask(service, "same")).answered_by for _ in range(TIMES)]
    assert told == [call.generation_id for call in second.ledger]
    assert len(set(told)) == len(second.ledger) == TIMES
    # As many as open its breaker, and then none.
    assert len(service.provider.ledger) == 5


async def test_reading_a_log_again_is_no_call_and_no_new_completion(service: Service) -> None:
    asked = [await ask(service, "same") for _ in range(2)]
    for one in asked:
        request = pb.ResumeStreamRequest(user_id="same", run_id=one.chunks[0].run_id)
        for _ in range(3):
            again = [chunk async for chunk in service.stub.ResumeStream(request)]
            assert again[-1].metadata["generation_id"] == one.answered_by
    assert len(service.provider.ledger) == 2
    another = await ask(service, "same")
    assert another.answered_by not in {one.answered_by for one in asked}
    assert len(service.provider.ledger) == 3
