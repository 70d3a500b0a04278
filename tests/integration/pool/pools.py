"""A pool over real HTTP providers, and what a test reads from it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import aiohttp

from providers.base import ChatModel, Delta, ModelFinished, ModelRequest, TextDelta
from providers.file.endpoints import Endpoint
from providers.file.entries import ProviderConfiguration
from providers.file.reading import parse_configuration
from providers.http.timeouts import ProviderTimeouts
from providers.openai_compatible.model import OpenAICompatibleModel
from providers.pool.assembly import AdapterFactory, Assembly
from providers.pool.choice import ClassChoice
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from providers.pool.search import RetryPolicy
from state.errors import OrchestratorError
from state.models import Message
from tests.fakes.memory_gate import MemoryGate

CHAT = ClassChoice("chat")
QUESTION = ModelRequest((Message("user", "how are you"),))

TWO = """
[providers.first]
kind = "openai"
base_url = "{first}"
[providers.second]
kind = "openai"
base_url = "{second}"
[models.one]
provider = "first"
context_tokens = 8192
[models.two]
provider = "second"
context_tokens = 8192
[classes]
chat = ["one", "two"]
fast = ["two"]
alone = ["one"]
"""

MakePool = Callable[..., "Pool"]


def openai_compatible(session: aiohttp.ClientSession) -> AdapterFactory:
    """What main gives the pool for kind `openai`."""

    def make(endpoint: Endpoint) -> ChatModel:
        provider, info = endpoint.provider, endpoint.info
        times = provider.timeouts
        return OpenAICompatibleModel(
            session,
            provider=info.provider,
            base_url=provider.base_url or "https://api.openai.com/v1",
            model=info.model,
            api_key=endpoint.api_key,
            context_tokens=info.context_tokens,
            max_output_tokens=info.max_output_tokens,
            extra_headers=provider.headers,
            timeouts=ProviderTimeouts(
                connect=times.connect_seconds,
                first_token=times.first_token_seconds,
                between_tokens=times.between_tokens_seconds,
                total=times.total_seconds,
            ),
        )

    return make


@dataclass
class Pool:
    """A pool, and the gates that were made for it, by the model's name."""

    adapters: Mapping[str, AdapterFactory]
    text: str
    addresses: Mapping[str, str]
    environment: Mapping[str, str]
    failures_to_open: int
    policy: RetryPolicy
    production: bool
    gates: dict[str, MemoryGate] = field(default_factory=dict)
    all_gates: list[MemoryGate] = field(default_factory=list)

    def __post_init__(self) -> None:
        assembly = Assembly(self.adapters, self._gate, self.environment, self.production)
        self.pool = ModelPool(
            assembly, self.read(self.text), retry_budget=RetryBudget(), retry_policy=self.policy
        )

    def read(self, text: str) -> ProviderConfiguration:
        content = self.filled(text).encode()
        return parse_configuration("p.toml", content, self.environment, production=self.production)

    def filled(self, text: str) -> str:
        """With the providers' addresses."""
        for name, address in self.addresses.items():
            text = text.replace(f"{{{name}}}", address)
        return text

    def _gate(self, endpoint: Endpoint) -> MemoryGate:
        gate = MemoryGate(endpoint, failures_to_open=self.failures_to_open)
        self.gates[endpoint.name] = gate
        self.all_gates.append(gate)
        return gate


@dataclass
class Read:
    """All that one call gave."""

    deltas: list[Delta] = field(default_factory=list)
    error: OrchestratorError | None = None

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def finished(self) -> ModelFinished:
        assert self.error is None
        last = self.deltas[-1]
        assert isinstance(last, ModelFinished)
        return last


async def begun(deltas: AsyncGenerator[Delta]) -> str:
    """The answer's first text, once it is there."""
    async for delta in deltas:
        if isinstance(delta, TextDelta):
            return delta.text
    raise AssertionError("there was no text")


async def read(deltas: AsyncGenerator[Delta]) -> Read:
    result = Read()
    try:
        async with aclosing(deltas):
            async for delta in deltas:
                result.deltas.append(delta)
    except OrchestratorError as error:
        result.error = error
    return result
