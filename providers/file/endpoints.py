"""Models as adapters are built from: an entry of the file, with its provider and its key."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from providers.base import ModelInfo
from providers.file.entries import Limits, ModelEntry, Prices, ProviderConfiguration, ProviderEntry

_DEFAULT_OUTPUT_TOKENS = {"anthropic": 4096}
"""Where the API demands a limit: one that every model takes."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model of one provider. `name` is the model's in the file, `info.model` the vendor's id."""

    name: str
    info: ModelInfo
    provider: ProviderEntry
    api_key: SecretStr | None
    prices: Prices

    @property
    def limits(self) -> Limits:
        return self.provider.limits

    @property
    def of_this_process(self) -> bool:
        """No other process calls it, however many there are."""
        return self.provider.kind == "local"

    def same_place(self, other: "Endpoint") -> bool:
        """The same model behind the same account and the same limits: what is known of one holds of both."""
        return self._place == other._place

    def same_adapter(self, other: "Endpoint") -> bool:
        """An adapter built for one does for the other."""
        return (self.info, self.provider, self.api_key) == (other.info, other.provider, other.api_key)

    @property
    def _place(self) -> tuple[object, ...]:
        provider = self.provider
        server = (provider.kind, provider.langchain_provider, provider.base_url)
        return (self.info.provider, self.info.model, *server, self.api_key, provider.limits)


def endpoints_of(configuration: ProviderConfiguration, environment: Mapping[str, str]) -> dict[str, Endpoint]:
    """Every model of the configuration by its name; keys come from `environment`."""
    return {
        name: _endpoint(name, model, configuration.providers[model.provider], environment)
        for name, model in configuration.models.items()
    }


def _endpoint(
    name: str, model: ModelEntry, provider: ProviderEntry, environment: Mapping[str, str]
) -> Endpoint:
    info = ModelInfo(
        provider=model.provider,
        model=model.model or name,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens or _DEFAULT_OUTPUT_TOKENS.get(provider.kind),
        tools=model.tools,
        images=model.images,
        json_schema=model.json_schema,
        routing=provider.kind != "local" if model.routing is None else model.routing,
    )
    key = SecretStr(environment[provider.api_key_env]) if provider.api_key_env is not None else None
    return Endpoint(name, info, provider, key, model.prices)
