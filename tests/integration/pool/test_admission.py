"""Permits before calls, and what watchers are told."""

from dataclasses import replace

import pytest

from providers.base import JsonSchema, ModelRequest
from providers.gate.base import GateState, Saturated, SaturatedBy, Unavailable
from providers.pool.admission import Admitted
from providers.pool.choice import ClassChoice, PinnedChoice
from providers.pool.model import PooledModel
from providers.pool.needs import Needs
from state.errors import InvalidRequestError, ProviderUnavailableError
from state.models import Message
from tests.fakes.scripted_provider.addresses import refusing_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.integration.pool.pools import CHAT, QUESTION, TWO, MakePool, Pool, begun, read


def held(answer: object) -> Admitted:
    assert isinstance(answer, Admitted)
    return answer


async def test_an_admitted_call_uses_just_the_permit_that_it_holds(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    pool.gates["one"].refusal = Saturated(SaturatedBy.CONCURRENCY)
    admitted = held(pool.pool.admit(CHAT, 500))
    pool.gates["one"].refusal = None
    assert (admitted.model, pool.gates["two"].asked) == ("two", [500])
    result = await read(pool.pool.stream(CHAT, QUESTION, admitted=admitted))
    assert result.finished.model == "two"
    assert (len(pool.gates["one"].permits), len(pool.gates["two"].permits)) == (0, 1)


async def test_an_admitted_call_that_fails_goes_on_with_the_others(
    pool: Pool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    pool.gates["one"].refusal = Unavailable(1.0)
    admitted = held(pool.pool.admit(CHAT))
    pool.gates["one"].refusal = None
    second.enqueue(Script(status=503))
    result = await read(pool.pool.stream(CHAT, QUESTION, admitted=admitted))
    assert result.finished.model == "one"


async def test_a_permit_is_used_by_one_call_only(pool: Pool) -> None:
    admitted = held(pool.pool.admit(CHAT))
    model = PooledModel(pool.pool, CHAT, admitted=admitted)
    assert (await read(model.stream(QUESTION))).error is None
    assert (await read(model.stream(QUESTION))).error is None
    assert pool.gates["one"].ends == ["succeeded", "succeeded"]


async def test_a_permit_that_is_not_used_is_given_back(pool: Pool) -> None:
    admitted = held(pool.pool.admit(CHAT))
    assert pool.gates["one"].in_flight == 1
    admitted.abandon()
    admitted.abandon()
    assert pool.gates["one"].ends == ["abandoned"]


@pytest.mark.parametrize("request_", [replace(QUESTION, deadline=0.0), QUESTION], ids=["too late", "unknown"])
async def test_a_permit_of_a_call_that_never_comes_about_is_given_back(
    pool: Pool, request_: ModelRequest
) -> None:
    wanted = CHAT if request_.deadline == 0 else PinnedChoice("nobody")
    result = await read(pool.pool.stream(wanted, request_, admitted=held(pool.pool.admit(CHAT))))
    assert result.error is not None
    assert pool.gates["one"].ends == ["abandoned"]


async def test_a_permit_for_a_model_that_cannot_do_it_is_given_back(make_pool: MakePool) -> None:
    text = TWO.replace(
        '"first"\ncontext_tokens = 8192', '"first"\ncontext_tokens = 8192\njson_schema = false'
    )
    pool = make_pool(text)
    admitted = held(pool.pool.admit(CHAT))
    request = replace(QUESTION, json_schema=JsonSchema("a", {"type": "object"}))
    result = await read(pool.pool.stream(CHAT, request, admitted=admitted))
    assert result.finished.model == "two"
    assert pool.gates["one"].ends == ["abandoned"]


async def test_admission_heeds_what_the_call_will_need(make_pool: MakePool) -> None:
    text = TWO.replace('"first"\ncontext_tokens = 8192', '"first"\ncontext_tokens = 8192\ntools = false')
    admitted = held(make_pool(text).pool.admit(CHAT, needs=Needs(tools=True)))
    assert admitted.model == "two"
    admitted.abandon()


async def test_admission_says_whether_there_is_no_room_or_nobody(pool: Pool) -> None:
    pool.gates["one"].refusal = Saturated(SaturatedBy.TOKENS, 5.0)
    pool.gates["two"].refusal = Unavailable(2.0)
    assert pool.pool.admit(CHAT) == Saturated(SaturatedBy.TOKENS, 5.0)
    pool.gates["one"].refusal = Unavailable(3.0)
    assert pool.pool.admit(CHAT) == Unavailable(2.0)
    with pytest.raises(InvalidRequestError):
        pool.pool.admit(ClassChoice("nobody"))


async def test_a_call_tells_the_gate_how_many_tokens_to_expect(pool: Pool) -> None:
    await read(pool.pool.stream(CHAT, replace(QUESTION, max_output_tokens=10)))
    await read(pool.pool.stream(CHAT, replace(QUESTION, messages=(Message("user", "x" * 3000),))))
    small, large = pool.gates["one"].asked
    assert 10 < small < 50
    assert 2000 < large < 2050


async def test_a_held_permit_is_told_what_the_call_is_about_to_send(pool: Pool) -> None:
    admitted = held(pool.pool.admit(CHAT))
    long = replace(QUESTION, messages=(Message("user", "x" * 30_000),), max_output_tokens=10)
    alone = PinnedChoice("one")
    await read(pool.pool.stream(alone, long, admitted=admitted))
    assert pool.gates["one"].asked == [1000]
    assert 10_000 < (pool.gates["one"].permits[0].expected or 0) < 10_050


async def test_who_waits_for_room_hears_of_every_gate_of_the_class(pool: Pool) -> None:
    heard: list[str] = []
    end = pool.pool.on_room(CHAT, lambda: heard.append("room"))
    await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    await read(pool.pool.stream(PinnedChoice("two"), QUESTION))
    assert heard == ["room", "room"]
    end()
    await read(pool.pool.stream(CHAT, QUESTION))
    assert heard == ["room", "room"]
    assert pool.gates["one"].listeners == pool.gates["two"].listeners == 0


async def test_status_tells_of_models_providers_and_classes(pool: Pool) -> None:
    pool.gates["one"].refusal = Unavailable(4.0)
    admitted = held(pool.pool.admit(CHAT))
    status = pool.pool.status()
    down, up = status.providers
    assert (down.name, down.state, down.models[0].name) == ("first", GateState.UNAVAILABLE, "one")
    assert down.models[0].gate.retry_after == 4
    assert (up.name, up.state, up.in_flight, up.concurrency_limit) == ("second", GateState.AVAILABLE, 1, 64)
    assert status.classes == {
        "chat": GateState.AVAILABLE,
        "fast": GateState.AVAILABLE,
        "alone": GateState.UNAVAILABLE,
    }
    admitted.abandon()


async def test_two_names_of_one_model_share_its_gate(make_pool: MakePool) -> None:
    alias = '[models.alias]\nprovider = "first"\nmodel = "one"\ncontext_tokens = 4096\n'
    pool = make_pool(TWO.replace("[classes]", f"{alias}[classes]"))
    admitted = held(pool.pool.admit(PinnedChoice("alias")))
    (status, _) = pool.pool.status().providers
    assert (status.in_flight, status.concurrency_limit, len(status.models)) == (1, 64, 2)
    admitted.abandon()


async def test_a_choice_can_be_used_as_one_model(make_pool: MakePool) -> None:
    with refusing_address() as address:
        model = PooledModel(make_pool(first=f"http://{address}/v1").pool, CHAT)
        assert model.info.model == "one"
        await model.probe()
        assert (await read(model.stream(QUESTION))).finished.model == "two"
        with pytest.raises(ProviderUnavailableError):
            await PooledModel(make_pool(first=f"http://{address}/v1").pool, ClassChoice("alone")).probe()


async def test_the_answer_begins_before_it_ends(pool: Pool, first: ScriptedProvider) -> None:
    first.enqueue(Script(tokens=("a", "b"), hold_after=1))
    stream = pool.pool.stream(CHAT, QUESTION)
    assert await begun(stream) == "a"
    assert pool.gates["one"].permits[0].events[-1] == "first_token"
    first.ledger[0].release()
    await read(stream)
