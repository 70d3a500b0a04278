"""What a provider file would say, made from plain values where there is no file."""

from dataclasses import dataclass
from typing import Literal

from providers.file.entries import (
    Kind,
    Limits,
    ModelEntry,
    ProviderConfiguration,
    ProviderEntry,
    Timeouts,
)

CLASSES = ("chat", "fast", "reasoning", "judge")


def single_model(
    *,
    provider: str,
    kind: Kind,
    model: str,
    context_tokens: int,
    base_url: str | None = None,
    api_key_env: str | None = None,
    max_output_tokens: int | None = None,
    images: bool = False,
    routing: bool | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    timeouts: Timeouts = Timeouts(),  # noqa: B008  # frozen
) -> ProviderConfiguration:
    """One model of one provider, which is every class at the same time."""
    entry = ProviderEntry(
        kind=kind, base_url=base_url, api_key_env=api_key_env, limits=limits, timeouts=timeouts
    )
    return ProviderConfiguration(
        providers={provider: entry},
        models={
            model: ModelEntry(
                provider=provider,
                context_tokens=context_tokens,
                max_output_tokens=max_output_tokens,
                images=images,
                routing=routing,
            )
        },
        classes=dict.fromkeys(CLASSES, (model,)),
    )


@dataclass(frozen=True, slots=True)
class KeyedModel:
    """The one model that a key, or an address, in the environment stands for; times in seconds."""

    openai_key: bool
    openai_base_url: str | None
    anthropic_key: bool
    anthropic_base_url: str | None
    model: str
    context_tokens: int
    images: bool
    routing: bool
    min_concurrency: int
    max_concurrency: int
    connect_seconds: float
    first_token_seconds: float
    between_tokens_seconds: float
    total_seconds: float

    @property
    def timeouts(self) -> Timeouts:
        """How long a provider may take."""
        return Timeouts(
            connect_seconds=self.connect_seconds,
            first_token_seconds=self.first_token_seconds,
            between_tokens_seconds=self.between_tokens_seconds,
            total_seconds=self.total_seconds,
        )

    def configuration(self) -> ProviderConfiguration | None:
        """What a provider file would say of it; None when there is neither key nor address."""
        if self.openai_key or self.openai_base_url:
            return self._single("openai", self.openai_base_url, "gpt-5-mini", self.openai_key)
        if self.anthropic_key:
            return self._single("anthropic", self.anthropic_base_url, "claude-haiku-4-5", self.anthropic_key)
        return None

    def _single(
        self, kind: Literal["openai", "anthropic"], base_url: str | None, usual_model: str, key: bool
    ) -> ProviderConfiguration:
        return single_model(
            provider=kind,
            kind=kind,
            base_url=base_url,
            api_key_env=f"{kind.upper()}_API_KEY" if key else None,
            model=self.model or usual_model,
            context_tokens=self.context_tokens,
            images=self.images,
            routing=self.routing,
            limits=Limits(min_concurrency=self.min_concurrency, max_concurrency=self.max_concurrency),
            timeouts=self.timeouts,
        )
