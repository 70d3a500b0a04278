"""Each field of a provider file changes what happens."""

from dataclasses import dataclass, replace

import pytest

from providers.base import ChatModel, JsonSchema, ModelRequest, ToolSpec
from providers.file.endpoints import Endpoint
from providers.file.reading import ProviderFileError
from providers.gate.base import Saturated, Unavailable
from providers.gate.factory import gate_of
from providers.pool.choice import ClassChoice, PinnedChoice
from providers.pool.run_budget import RunBudget
from state.errors import (
    InvalidRequestError,
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from state.models import Image, Message
from tests.fakes.scripted_provider.addresses import silent_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.integration.pool.pools import CHAT, QUESTION, TWO, MakePool, begun, read

KEY = "canary-5d1e"
ONE = PinnedChoice("one")
TOOL = replace(QUESTION, tools=(ToolSpec("look", "Looks", {"type": "object"}),))
PICTURE = replace(QUESTION, messages=(Message("user", "what is it", images=(Image("image/png", b"x"),)),))
SCHEMA = replace(QUESTION, json_schema=JsonSchema("answer", {"type": "object"}))
LONG = replace(QUESTION, messages=(Message("user", " ".join(map(str, range(6000)))),))


def provider_says(text: str) -> str:
    return TWO.replace('base_url = "{first}"', f'base_url = "{{first}}"\n{text}')


def model_says(text: str) -> str:
    """More of the first model's table; a field that stands there already is replaced."""
    head, rest = TWO.split('provider = "first"\n')
    keep = "" if "context_tokens" in text else "context_tokens = 8192"
    return f'{head}provider = "first"\n{keep}\n{text}\n{rest.removeprefix("context_tokens = 8192")}'


async def test_kind_chooses_the_adapter(make_pool: MakePool, first: ScriptedProvider) -> None:
    made: list[str] = []
    working = make_pool().adapters["openai"]

    def other(endpoint: Endpoint) -> ChatModel:
        made.append(endpoint.name)
        return working(endpoint)

    text = TWO.replace('"openai"\nbase_url = "{first}"', '"gemini"\nbase_url = "{first}"')
    pool = make_pool(text, adapters={"openai": working, "gemini": other})
    assert made == ["one"]
    assert (await read(pool.pool.stream(ONE, QUESTION))).finished.provider == "first"


async def test_a_kind_that_this_process_cannot_serve_is_refused(make_pool: MakePool) -> None:
    text = TWO.replace('"openai"\nbase_url = "{first}"', '"anthropic"')
    with pytest.raises(
        ProviderFileError, match=r"\[providers.first\] kind: this process was started without"
    ):
        make_pool(text)


async def test_langchain_provider_reaches_the_adapter(make_pool: MakePool) -> None:
    named: list[str | None] = []
    working = make_pool().adapters["openai"]

    def langchain(endpoint: Endpoint) -> ChatModel:
        named.append(endpoint.provider.langchain_provider)
        if endpoint.provider.langchain_provider == "absent":
            raise ModuleNotFoundError(KEY)
        return working(endpoint)

    text = TWO.replace('"openai"\nbase_url = "{first}"', '"langchain"\nlangchain_provider = "{name}"')
    adapters = {"openai": working, "langchain": langchain}
    make_pool(text, adapters=adapters, name="mistralai")
    assert named == ["mistralai"]
    with pytest.raises(ProviderFileError, match=r"\[models.one\]") as raised:
        make_pool(text, adapters=adapters, name="absent")
    assert KEY not in str(raised.value)


async def test_base_url_is_where_the_call_goes(
    make_pool: MakePool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    pool = make_pool(first=second.base_url)
    assert (await read(pool.pool.stream(ONE, QUESTION))).finished.provider == "first"
    assert (len(first.ledger), len(second.ledger)) == (0, 1)


async def test_api_key_env_names_the_key(make_pool: MakePool) -> None:
    async with ScriptedProvider(api_key=KEY) as guarded:
        text = provider_says('api_key_env = "{variable}"')
        environment = {"ACME_KEY": KEY, "OTHER_KEY": "wrong"}
        right = make_pool(text, variable="ACME_KEY", environment=environment, first=guarded.base_url)
        assert (await read(right.pool.stream(ONE, QUESTION))).error is None
        wrong = make_pool(text, variable="OTHER_KEY", environment=environment, first=guarded.base_url)
        assert isinstance((await read(wrong.pool.stream(ONE, QUESTION))).error, ProviderRejectedError)


async def test_headers_are_sent(make_pool: MakePool, first: ScriptedProvider) -> None:
    pool = make_pool(provider_says('headers = { X-Title = "llm-orchestrator" }'))
    await read(pool.pool.stream(ONE, QUESTION))
    assert "x-title" in first.ledger[0].header_names


@pytest.mark.parametrize(
    ("limit", "calls"), [("requests_per_minute = 2", 2), ("tokens_per_minute = 2500", 2), ("", 4)]
)
async def test_limits_of_a_minute_reach_the_gate(
    make_pool: MakePool, first: ScriptedProvider, limit: str, calls: int
) -> None:
    pool = make_pool(provider_says(f"limits = {{ {limit} }}"))
    results = [await read(pool.pool.stream(ONE, QUESTION)) for _ in range(4)]
    assert len(first.ledger) == calls
    assert all(isinstance(result.error, ProviderSaturatedError) for result in results[calls:])


@pytest.mark.parametrize(("most", "answered"), [(1, False), (2, True)])
async def test_max_concurrency_reaches_the_gate(
    make_pool: MakePool, first: ScriptedProvider, most: int, answered: bool
) -> None:
    first.enqueue(Script(tokens=("a", "b"), hold_after=1))
    pool = make_pool(provider_says(f"limits = {{ max_concurrency = {most} }}"))
    held = pool.pool.stream(ONE, QUESTION)
    await begun(held)
    result = await read(pool.pool.stream(ONE, QUESTION))
    assert (result.error is None) is answered
    await held.aclose()


@pytest.mark.parametrize(("least", "left"), [(1, 5), (8, 8)])
async def test_min_concurrency_is_as_far_as_the_limit_falls(
    make_pool: MakePool, least: int, left: int
) -> None:
    text = provider_says(f"limits = {{ max_concurrency = 10, min_concurrency = {least} }}")
    gate = gate_of(make_pool(text).pool.candidates[0].endpoint)
    permit = gate.admit()
    assert not isinstance(permit, Saturated | Unavailable)
    permit.failed(ProviderSaturatedError("full"))
    assert gate.snapshot().concurrency_limit == left


@dataclass(frozen=True)
class Slow:
    """A provider that keeps one time-out waiting."""

    field: str
    script: Script
    error: type[ProviderError]
    said: str


SLOW = [
    Slow("first_token_seconds", Script(first_token_delay=5), ProviderUnavailableError, "no first token"),
    Slow("between_tokens_seconds", Script(tokens=("a", "b"), hold_after=1), ProviderBrokenError, "go on"),
    Slow("total_seconds", Script(tokens=("a",) * 90, token_interval=0.05), ProviderBrokenError, "in time"),
]


@pytest.mark.parametrize("slow", SLOW, ids=lambda slow: slow.field)
async def test_each_timeout_ends_its_wait(make_pool: MakePool, first: ScriptedProvider, slow: Slow) -> None:
    first.default = slow.script
    pool = make_pool(provider_says(f"timeouts = {{ {slow.field} = 0.15 }}"))
    result = await read(pool.pool.stream(ONE, QUESTION))
    assert type(result.error) is slow.error
    assert slow.said in result.error.message


async def test_connect_seconds_ends_the_wait_for_a_connection(make_pool: MakePool) -> None:
    with silent_address() as address:
        pool = make_pool(provider_says("timeouts = { connect_seconds = 0.1 }"), first=f"http://{address}/v1")
        result = await read(pool.pool.stream(ONE, QUESTION))
    assert isinstance(result.error, ProviderUnavailableError)
    assert "took no connection in time" in result.error.message


async def test_model_is_the_id_that_the_vendor_sees(make_pool: MakePool, first: ScriptedProvider) -> None:
    pool = make_pool(model_says('model = "vendor/one-2"'))
    await read(pool.pool.stream(ONE, QUESTION))
    assert first.ledger[0].body["model"] == "vendor/one-2"


async def test_provider_is_who_serves_the_model(
    make_pool: MakePool, first: ScriptedProvider, second: ScriptedProvider
) -> None:
    pool = make_pool(TWO.replace('[models.one]\nprovider = "first"', '[models.one]\nprovider = "second"'))
    assert (await read(pool.pool.stream(ONE, QUESTION))).finished.provider == "second"


@pytest.mark.parametrize(
    ("lacks", "has", "request_"),
    [
        ("tools = false", "tools = true", TOOL),
        ("images = false", "images = true", PICTURE),
        ("json_schema = false", "json_schema = true", SCHEMA),
        ("context_tokens = 8192", "context_tokens = 32768", LONG),
    ],
    ids=["tools", "images", "schema", "context"],
)
async def test_a_model_that_cannot_do_it_is_passed_over(
    make_pool: MakePool, lacks: str, has: str, request_: ModelRequest
) -> None:
    able = TWO.replace('"second"\ncontext_tokens = 8192', '"second"\ncontext_tokens = 16384\nimages = true')
    for says, model in ((lacks, "two"), (has, "one")):
        text = able.replace('"first"\ncontext_tokens = 8192', f'"first"\n{says}')
        if "context_tokens" not in says:
            text = text.replace(says, f"{says}\ncontext_tokens = 8192", 1)
        result = await read(make_pool(text).pool.stream(CHAT, request_))
        assert result.finished.model == model


async def test_what_no_model_can_do_is_the_callers_error(make_pool: MakePool) -> None:
    result = await read(make_pool().pool.stream(CHAT, PICTURE))
    assert isinstance(result.error, InvalidRequestError)
    assert [violation.field for violation in result.error.violations] == ["model"]


async def test_a_length_that_seems_too_much_for_all_is_left_to_the_largest(make_pool: MakePool) -> None:
    text = TWO.replace('"second"\ncontext_tokens = 8192', '"second"\ncontext_tokens = 9000')
    result = await read(make_pool(text).pool.stream(CHAT, LONG))
    assert result.finished.model == "two"


@pytest.mark.parametrize(("wish", "sent"), [(None, 50), (20, 20), (80, 50)])
async def test_max_output_tokens_cuts_the_wish(
    make_pool: MakePool, first: ScriptedProvider, wish: int | None, sent: int
) -> None:
    pool = make_pool(model_says("max_output_tokens = 50"))
    await read(pool.pool.stream(ONE, replace(QUESTION, max_output_tokens=wish)))
    assert first.ledger[0].body["max_tokens"] == sent


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        ("", 0),
        ("input_micros = 1_000_000", 100),
        ("input_micros = 1_000_000, cached_input_micros = 100_000", 64),
        ("output_micros = 2_000_000", 20),
        ("output_micros = 1", 1),
    ],
)
async def test_prices_make_the_cost(
    make_pool: MakePool, first: ScriptedProvider, prices: str, cost: int
) -> None:
    first.default = Script(usage=ScriptedUsage(100, 10, cached_tokens=40))
    budget = RunBudget()
    await read(make_pool(model_says(f"prices = {{ {prices} }}")).pool.stream(ONE, QUESTION, budget=budget))
    assert budget.spent.cost_micros == cost


async def test_currency_is_what_prices_are_in(make_pool: MakePool) -> None:
    assert make_pool().pool.currency == "USD"
    assert make_pool('currency = "EUR"\n' + TWO).pool.currency == "EUR"


async def test_classes_order_their_models(make_pool: MakePool) -> None:
    turned = make_pool(TWO.replace('["one", "two"]', '["two", "one"]'))
    assert (await read(turned.pool.stream(CHAT, QUESTION))).finished.model == "two"
    unknown = await read(turned.pool.stream(ClassChoice("slow"), QUESTION))
    assert isinstance(unknown.error, InvalidRequestError)
