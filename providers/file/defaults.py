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
                provider=provider, context_tokens=context_tokens, max_output_tokens=max_output_tokens
            )
        },
        classes=dict.fromkeys(CLASSES, (model,)),
    )
