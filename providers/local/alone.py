"""The configuration of who has no other model: the local one, for everything."""

from providers.file.defaults import single_model
from providers.file.entries import ProviderConfiguration, Timeouts
from providers.local.child import MODEL_NAME
from providers.local.model import PROVIDER_NAME


def local_alone(*, context_tokens: int, max_output_tokens: int, timeouts: Timeouts) -> ProviderConfiguration:
    """What a provider file would say that knows only the local model."""
    return single_model(
        provider=PROVIDER_NAME,
        kind="local",
        model=MODEL_NAME,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        timeouts=timeouts,
    )
