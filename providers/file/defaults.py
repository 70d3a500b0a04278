"""What a provider file would say, made from plain values where there is no file."""

from providers.file.entries import (
    Kind,
    Limits,
    ModelEntry,
    ProviderConfiguration,
    ProviderEntry,
    Timeouts,
)

CLASSES = ("chat", "fast", "reasoning")


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
            )
        },
        classes=dict.fromkeys(CLASSES, (model,)),
    )


def from_keys(
    *,
    openai_key: bool,
    openai_base_url: str | None,
    anthropic_key: bool,
    anthropic_base_url: str | None,
    model: str,
    context_tokens: int,
    images: bool,
    limits: Limits,
    timeouts: Timeouts,
) -> ProviderConfiguration | None:
    """The one model that a key, or an address, in the environment stands for; None when there is neither."""
    if openai_key or openai_base_url:
        return single_model(
            provider="openai",
            kind="openai",
            base_url=openai_base_url,
            api_key_env="OPENAI_API_KEY" if openai_key else None,
            model=model or "gpt-5-mini",
            context_tokens=context_tokens,
            images=images,
            limits=limits,
            timeouts=timeouts,
        )
    if anthropic_key:
        return single_model(
            provider="anthropic",
            kind="anthropic",
            base_url=anthropic_base_url,
            api_key_env="ANTHROPIC_API_KEY",
            model=model or "claude-haiku-4-5",
            context_tokens=context_tokens,
            images=images,
            limits=limits,
            timeouts=timeouts,
        )
    return None
