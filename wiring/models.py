"""The models, from a provider file, from keys in the environment, or our own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from config.command_line import say
from config.load import environment, picked
from config.settings import Settings
from providers.anthropic.model import ANTHROPIC_URL, AnthropicModel
from providers.file.defaults import KeyedModel
from providers.file.entries import ProviderConfiguration
from providers.file.watching import ProviderFile, ProviderFileWatch
from providers.gate.factory import gate_of
from providers.gemini.model import GEMINI_URL, GeminiModel
from providers.http.factory import HTTPAdapterFactory
from providers.http.session import open_session
from providers.langchain.factory import langchain_model
from providers.local.alone import local_alone
from providers.local.factory import LocalModelFactory
from providers.local.server import LocalModelServer
from providers.openai_compatible.model import OPENAI_URL, OpenAICompatibleModel
from providers.pool.assembly import AdapterFactory, Assembly
from providers.pool.pool import ModelPool
from providers.pool.retry_budget import RetryBudget
from wiring.deaths import Deaths


@asynccontextmanager
async def models_of(settings: Settings, deaths: Deaths) -> AsyncIterator[ModelPool]:
    """The models of the provider file, else the one that the keys in the environment name, else our own."""
    provider, production = settings.provider, settings.environment == "production"
    known = environment(settings)
    file = ProviderFile(provider.file, known, production=production) if provider.file else None
    configuration = file.read() if file else default_models(settings)
    async with AsyncExitStack() as stack:
        # A call that had to wait for a connection would look like a slow provider.
        session = await stack.enter_async_context(open_session(connections=2 * settings.server.max_streams))
        openai = HTTPAdapterFactory(OpenAICompatibleModel, session, OPENAI_URL)
        adapters: dict[str, AdapterFactory] = {
            "openai": openai,
            "scripted": openai,
            "anthropic": HTTPAdapterFactory(AnthropicModel, session, ANTHROPIC_URL),
            "gemini": HTTPAdapterFactory(GeminiModel, session, GEMINI_URL),
            "langchain": langchain_model,
        }
        if any(entry.kind == "local" for entry in configuration.providers.values()):
            say("model: loading SmolLM2-135M")
            local = settings.local_model
            shape = local.model_dump(include={"threads", "slots", "context_tokens", "start_seconds"})
            server = await stack.enter_async_context(LocalModelServer(settings.embedded.folder, **shape))
            deaths["the local model"] = server.died
            adapters["local"] = LocalModelFactory(server, openai, ready_seconds=local.start_seconds)
        budget = RetryBudget(share=provider.retry_share)
        assembly = Assembly(adapters, gate_of, known, production)
        pool = await stack.enter_async_context(ModelPool(assembly, configuration, retry_budget=budget))
        deaths["a background probe"] = pool.died
        if file:
            watch = ProviderFileWatch(file, pool.exchange, reload_seconds=provider.reload_seconds)
            await stack.enter_async_context(watch)
            deaths["the provider file"] = watch.died
        yield pool


def default_models(settings: Settings) -> ProviderConfiguration:
    """What a provider file would say, had it been written from the other settings."""
    keys = {"openai_key": settings.openai_api_key, "anthropic_key": settings.anthropic_api_key}
    given = {name: key is not None for name, key in keys.items()}
    keyed = picked(KeyedModel, settings.provider, settings, **given)
    tokens = settings.local_model.model_dump(include={"context_tokens", "max_output_tokens"})
    return keyed.configuration() or local_alone(timeouts=keyed.timeouts, **tokens)
